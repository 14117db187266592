package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/control"
	"github.com/guard0-ai/g0-sidecar/pipeline/event"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/baseline"
	"github.com/guard0-ai/g0-sidecar/pipeline/state"
)

// baselineSource is where the baselines are read: the running sidecar, or its
// state.
type baselineSource interface {
	Baselines(ctx context.Context) (control.BaselineList, error)
	ExportBaseline(ctx context.Context, keys ...string) (jsontext.Value, error)
}

type baselineFlags struct {
	state string
	json  bool
}

func baselineCmd() *cobra.Command {
	var f baselineFlags
	list := &cobra.Command{
		Use: "list", Short: "Show every agent, and what its baseline still lacks", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.read(cmd, func(from baselineSource) error { return listBaselines(cmd, from, f.json) })
		},
	}
	show := &cobra.Command{
		Use: "show AGENT", Short: "Show what an agent (or gateway:NAME) is known for", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, func(from baselineSource) error { return showBaseline(cmd, from, args[0], f.json) })
		},
	}
	export := &cobra.Command{
		Use: "export [AGENT...]", Short: "Write the baselines of agents, or of all, to standard output",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.read(cmd, func(from baselineSource) error { return exportBaselines(cmd, from, args) })
		},
	}
	for _, c := range []*cobra.Command{list, show} {
		c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	}
	cmd := group("baseline", "See what each agent is known for; keep, bring and forget it",
		list, show, export, importCmd(&f),
		changeCmd(&f, control.BaselineFreeze, "Learn no more of an agent; what is new is told all the same"),
		changeCmd(&f, control.BaselineUnfreeze, "Learn of it again"),
		changeCmd(&f, control.BaselineReset, "Forget what an agent is known for, and learn it anew"))
	for _, sub := range cmd.Commands() {
		stateFlag(sub, &f.state)
	}
	return cmd
}

func (f *baselineFlags) client() (*control.Client, string, error) {
	dir, err := stateDir(f.state)
	if err != nil {
		return nil, "", err
	}
	return control.NewClient(controlSocket(dir)), dir, nil
}

// read has use read from the running sidecar or, when none runs, from its state.
func (f *baselineFlags) read(cmd *cobra.Command, use func(baselineSource) error) error {
	c, dir, err := f.client()
	if err != nil {
		return err
	}
	err = use(c)
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	saved, err2 := readBaselines(filepath.Join(dir, "state.db"))
	if errors.Is(err2, fs.ErrNotExist) {
		return err
	}
	if err2 != nil {
		return err2
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "g0: no g0 is running: this is what its last snapshot holds")
	return use(saved)
}

// savedBaselines are those of a sidecar that does not run.
type savedBaselines struct{ *baseline.Stage }

// readBaselines reads them from a state file.
func readBaselines(path string) (savedBaselines, error) {
	if _, err := os.Stat(path); err != nil { // which opening would make
		return savedBaselines{}, err
	}
	db, err := state.Open(path)
	if err != nil {
		return savedBaselines{}, err
	}
	shards, err := db.Shards(baseline.Name)
	if err != nil {
		return savedBaselines{}, errors.Join(err, db.Close())
	}
	all, err := shards.All()
	if err := errors.Join(err, db.Close()); err != nil {
		return savedBaselines{}, err
	}
	cfg := baseline.DefaultConfig()
	cfg.MaxItems, cfg.MaxAgents, cfg.MaxTotal = baseline.MaxItems, baseline.MaxAgents, baseline.MaxTotal
	st, err := baseline.New(cfg)
	if err != nil {
		return savedBaselines{}, err
	}
	return savedBaselines{st}, st.RestoreShards(all)
}

// Baselines lists them without what is missing: that depends on the pipeline.
func (s savedBaselines) Baselines(context.Context) (control.BaselineList, error) {
	list := control.BaselineList{Agents: s.Status()}
	for i := range list.Agents {
		list.Agents[i].Missing = nil
	}
	return list, nil
}

func (s savedBaselines) ExportBaseline(_ context.Context, keys ...string) (jsontext.Value, error) {
	return s.Export(keys...)
}

func listBaselines(cmd *cobra.Command, from baselineSource, asJSON bool) error {
	list, err := from.Baselines(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), list)
	}
	return printBaselines(cmd.OutOrStdout(), list.Agents)
}

func writeJSON(out io.Writer, v any) error {
	err := json.MarshalWrite(out, v, jsontext.Multiline(true), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out)
	return err
}

// columns are the features as the tables name and order them.
var columns = []string{"tool", "binary", "destination", "file", "type"}

func printBaselines(out io.Writer, agents []baseline.Status) error {
	if len(agents) == 0 {
		_, err := fmt.Fprintln(out, "no agent is known: no event has proven who acted")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AGENT\tSTATE\tEVENTS\tTOOLS\tBINARIES\tDESTINATIONS\tFILES\tTYPES\tSINCE\tMISSING")
	for _, a := range agents {
		fmt.Fprintf(w, "%s\t%s\t%d", event.Clean(a.Agent, 64), describeState(a), a.Events)
		for _, feature := range columns {
			n := a.Items[feature]
			fmt.Fprintf(w, "\t%d/%d", n.Learned, n.Known)
		}
		fmt.Fprintf(w, "\t%s\t%s\n", a.Since.Local().Format(time.DateTime), describeMissing(a))
	}
	return w.Flush()
}

func describeState(a baseline.Status) string {
	if a.Frozen {
		return a.State + ", frozen"
	}
	return a.State
}

// describeMissing says what an agent's baseline lacks to become active, and what
// holds up its learning.
func describeMissing(a baseline.Status) string {
	var parts []string
	if m := a.Missing; m != nil {
		if m.Events > 0 {
			parts = append(parts, fmt.Sprintf("%d events", m.Events))
		}
		if m.Quiet > 0 {
			parts = append(parts, fmt.Sprintf("%d with nothing new", m.Quiet))
		}
		if m.Seconds > 0 {
			parts = append(parts, (time.Duration(m.Seconds) * time.Second).String())
		}
	}
	if al := a.Alert; al != nil {
		parts = append(parts, fmt.Sprintf("not learned until %s: %s", al.Until.Local().Format(time.DateTime), event.Clean(al.Type, 64)))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func showBaseline(cmd *cobra.Command, from baselineSource, key string, asJSON bool) error {
	b, err := from.ExportBaseline(cmd.Context(), key)
	if err != nil {
		return err
	}
	var doc baseline.Document
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("decode g0's answer: %w", err)
	}
	if len(doc.Agents) != 1 {
		return fmt.Errorf("g0 answers with %d agents", len(doc.Agents))
	}
	a := doc.Agents[0]
	a.Run = nil
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), a)
	}
	return printBaseline(cmd.OutOrStdout(), a)
}

func printBaseline(out io.Writer, a baseline.Agent) error {
	fmt.Fprintf(out, "%s: %s, %d events since %s\n", event.Clean(a.Agent, 64), a.State, a.Events, localTime(a.Since))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FEATURE\tITEM\tLEARNED\tSIGHTINGS\tCOUNT\tFIRST\tLAST\tUSUAL/MIN")
	for _, feature := range columns {
		items := a.Features[feature]
		slices.SortFunc(items, func(x, y baseline.Item) int { return strings.Compare(x.Item, y.Item) })
		for _, it := range items {
			learned, usual := "no", "-"
			if it.Learned {
				learned = "yes"
			}
			if it.Rate != nil && it.Rate.Minutes > 0 {
				usual = fmt.Sprintf("%.1f", it.Rate.Usual())
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", feature, event.Clean(it.Item, 100), learned, it.Sightings,
				it.Count, localTime(it.First), localTime(it.Last), usual)
		}
	}
	return w.Flush()
}

func localTime(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).Format(time.DateTime)
}

func exportBaselines(cmd *cobra.Command, from baselineSource, keys []string) error {
	b, err := from.ExportBaseline(cmd.Context(), keys...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
	return err
}

// needsRunning explains why a change needs the sidecar.
func needsRunning(err error) error {
	if errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w: baselines are changed by the running sidecar only, so that its journal knows of it", err)
	}
	return err
}

func importCmd(f *baselineFlags) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Bring baselines that were exported; - is standard input", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := readDocument(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			c, _, err := f.client()
			if err != nil {
				return err
			}
			in, err := c.ImportBaseline(cmd.Context(), doc)
			if err != nil {
				return needsRunning(err)
			}
			for _, agent := range in.Agents {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: imported\n", event.Clean(agent, 64))
			}
			return nil
		},
	}
}

// readDocument reads a file, but not more than a document may have.
func readDocument(stdin io.Reader, path string) ([]byte, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	b, err := io.ReadAll(io.LimitReader(in, baseline.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > baseline.MaxDocument {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, baseline.MaxDocument)
	}
	return b, nil
}

func changeCmd(f *baselineFlags, verb control.BaselineVerb, short string) *cobra.Command {
	done := map[control.BaselineVerb]string{
		control.BaselineFreeze: "frozen", control.BaselineUnfreeze: "learned again", control.BaselineReset: "forgotten",
	}[verb]
	return &cobra.Command{
		Use: string(verb) + " AGENT", Short: short, Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := f.client()
			if err != nil {
				return err
			}
			if err := c.ChangeBaseline(cmd.Context(), verb, args[0]); err != nil {
				return needsRunning(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", event.Clean(args[0], 64), done)
			return err
		},
	}
}
