package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/audit"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
)

func auditCmd() *cobra.Command {
	return group("audit", "Check the log of what was decided, done and ordered", auditVerifyCmd())
}

func auditVerifyCmd() *cobra.Command {
	var state, expect string
	cmd := &cobra.Command{
		Use: "verify [FILE...]", Short: "Check the chain of the audit log's files",
		Long: "Check that no line of the audit log was changed, removed or inserted: of all files in the state folder, or of the\n" +
			"FILES, oldest first. That its end was cut off, or all of it written anew, only --expect can show.",
		RunE: func(cmd *cobra.Command, files []string) error {
			if expect = strings.ToLower(expect); expect != "" && !isHash(expect) {
				return usageError{errors.New("--expect: is no hash of 64 hexadecimal digits")}
			}
			if len(files) == 0 {
				var err error
				if files, err = auditFiles(state); err != nil {
					return err
				}
			}
			return verifyAudit(cmd.OutOrStdout(), files, expect)
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVar(&expect, "expect", "", "`HASH` that must be in the log: a head that was noted elsewhere")
	return cmd
}

func isHash(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

func auditFiles(state string) ([]string, error) {
	dir, err := stateDir(state)
	if err != nil {
		return nil, err
	}
	return audit.Files(dir)
}

func verifyAudit(out io.Writer, files []string, expect string) error {
	found := uint64(0)
	r, err := audit.Verify(files, func(l audit.Line) {
		if l.Hash == expect {
			found = l.Seq
		}
	})
	if err != nil {
		return fmt.Errorf("the audit log is broken: %w", err)
	}
	if r.Records == 0 {
		return errors.New("the audit log is empty")
	}
	fmt.Fprintf(out, "%d records in %d files: %d (%s) to %d (%s)\n", r.Records, r.Files,
		r.First, r.From.Local().Format(time.DateTime), r.Last, r.To.Local().Format(time.DateTime))
	if r.First > 1 {
		fmt.Fprintf(out, "records before %d are in files that are not here\n", r.First)
	}
	if r.Torn > 0 {
		fmt.Fprintf(out, "the last line is unfinished (%d bytes): g0 is writing it, or was killed while it did\n", r.Torn)
	}
	fmt.Fprintln(out, "head", r.Head)
	switch {
	case expect != "" && found == 0:
		return fmt.Errorf("no record has the hash %s: the log was cut off or written anew, or that record is in a file that is not here", expect)
	case expect != "":
		fmt.Fprintf(out, "the hash that was expected is record %d\n", found)
	}
	_, err = fmt.Fprintln(out, "OK")
	return err
}

// logCmd reads the files, so it works whether g0 runs or not.
func logCmd(state *string) *cobra.Command {
	var (
		since  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use: "log", Short: "Show what was decided, done and ordered: the audit log", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := sinceTime(since, time.Now())
			if err != nil {
				return usageError{err}
			}
			files, err := auditFiles(*state)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			unreadable, err := audit.Read(files, func(raw []byte, l audit.Line) error {
				if l.At.Before(from) {
					return nil
				}
				if !asJSON {
					raw = []byte(describeRecord(l))
				}
				_, err := fmt.Fprintf(out, "%s\n", raw)
				return err
			})
			if err != nil {
				return err
			}
			if unreadable > 0 {
				return fmt.Errorf("%d lines cannot be read; g0 audit verify says where the log is broken", unreadable)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "only from this `TIME` on: 24h ago, or 2026-03-10T10:00:00Z")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the lines as they are")
	return cmd
}

// sinceTime reads a time, or how long ago it was.
func sinceTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(strings.TrimSuffix(s, " ago")); err == nil {
		return now.Add(-d.Abs()), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since: %q is neither a time such as 24h nor one such as 2026-03-10T10:00:00Z", s)
	}
	return t, nil
}

// describeRecord tells a record in a line. The file may be forged: all is cleaned.
func describeRecord(l audit.Line) string {
	parts := []string{l.At.Local().Format(time.DateTime), event.Clean(l.Type, 64)}
	if k := l.KillSwitch; k != nil {
		key := (&event.Event{Agent: l.Agent, KillSwitch: k}).SwitchKey()
		parts = append(parts, who(key), event.Clean(k.State, 16))
		switch {
		case k.Action != "" && k.Verified:
			parts = append(parts, event.Clean(k.Action, 32)+" verified")
		case k.Action != "" && k.Error == "":
			parts = append(parts, event.Clean(k.Action, 32)+" done, not verified")
		case k.Error != "":
			parts = append(parts, event.Clean(k.Action, 32)+" failed: "+event.Clean(k.Error, 200))
		}
		if k.Actor != "" {
			parts = append(parts, "by "+event.Clean(k.Actor, 32))
		}
		if !k.Expires.IsZero() {
			parts = append(parts, "until "+k.Expires.Local().Format(time.DateTime))
		}
		if k.Action == "" && k.Reason != "" {
			parts = append(parts, event.Clean(k.Reason, 200))
		}
	} else if key := l.Agent.Key(); key != "" {
		parts = append(parts, who(key))
	}
	if l.Message != "" {
		parts = append(parts, event.Clean(l.Message, 200))
	}
	return strings.Join(parts, "  ")
}
