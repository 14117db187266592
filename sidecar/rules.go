package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/guard0-ai/g0-sidecar/pipeline/component"
	"github.com/guard0-ai/g0-sidecar/pipeline/stage/correlate"
	"github.com/guard0-ai/g0-sidecar/rules/correlation"
)

func rulesCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list [FILE|FOLDER...]", Short: "List the built-in rules and those of your files",
		RunE: func(cmd *cobra.Command, args []string) error {
			sets, err := loadRules(args)
			if err != nil {
				return err
			}
			return listRules(cmd.OutOrStdout(), sets)
		},
	}
	test := &cobra.Command{
		Use: "test [FILE|FOLDER...]", Short: "Run the cases of the built-in rules, or of your files",
		Long: "Run the cases beside the rules: those of the built-in rules, or with arguments those of your own.\n" +
			"rules.yaml has them in rules.test.yaml. With a case that fails the exit code is 1.",
		RunE: func(cmd *cobra.Command, args []string) error {
			sets, err := loadRules(args)
			if err != nil {
				return err
			}
			return testRules(cmd.OutOrStdout(), sets[len(sets)-1])
		},
	}
	return group("rules", "Correlation rules, and the files of the sensors", list, test, explainCmd(), generateCmd())
}

func explainCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain ID [FILE|FOLDER...]", Short: "Say in words what a rule looks for",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return nil
			}
			return usageError{errors.New("g0 rules explain: wants the id of a rule; g0 rules list shows them")}
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			sets, err := loadRules(args[1:])
			if err != nil {
				return err
			}
			e, err := explain(sets, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				if err := json.MarshalWrite(cmd.OutOrStdout(), e, jsontext.WithIndent("  ")); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout())
				return err
			}
			return explainRule(cmd.OutOrStdout(), e)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// ruleSet is rules that were read together.
type ruleSet struct {
	files []correlation.File
	rules []correlation.Rule
	cases []correlation.Cases
}

// loadRules gives the built-in rules and, if there are paths, behind them those of
// the user's files: apart, since files of both may bear one name, but checked
// together as g0 run does. An id is given once.
func loadRules(paths []string) ([]ruleSet, error) {
	sets := []ruleSet{{files: correlation.Builtin()}}
	if len(paths) > 0 {
		own, err := correlation.ReadWithTests(paths...)
		if err != nil {
			return nil, err
		}
		sets = append(sets, ruleSet{files: own})
	}
	var all []correlation.File
	for _, s := range sets {
		all = append(all, s.files...)
	}
	rules, err := correlate.LoadRules(all...)
	if err != nil {
		return nil, err
	}
	// Conditions are compiled here as well, so that a mistake in one is told.
	if _, err := correlate.New(correlate.Config{Rules: rules, Compile: component.CompileCondition}); err != nil {
		return nil, err
	}
	for i := range sets {
		s := &sets[i]
		if s.rules, err = correlate.LoadRules(s.files...); err != nil {
			return nil, err
		}
		if s.cases, err = correlation.ParseCases(s.files, correlate.Vocabulary()); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

func explain(sets []ruleSet, id string) (correlation.Explanation, error) {
	for _, s := range sets {
		for i := range s.rules {
			if strings.EqualFold(s.rules[i].ID, id) {
				return s.rules[i].Explain(s.files, s.cases), nil
			}
		}
	}
	return correlation.Explanation{}, fmt.Errorf("there is no rule %q; g0 rules list shows which there are", id)
}

func listRules(out io.Writer, sets []ruleSet) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSEVERITY\tTHREAT\tKEY\tWINDOW\tFILE\tTITLE")
	for _, s := range sets {
		for _, r := range s.rules {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Severity, r.Type, r.Key, correlation.Short(r.Within), r.File, r.Title)
		}
	}
	return w.Flush()
}

// testRules runs the cases and prints a line a rule, and what is wrong.
func testRules(out io.Writer, set ruleSet) error {
	results, err := correlate.RunCases(set.files, component.CompileCondition)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range set.rules {
		matches, misses, failed := countCases(r, results)
		outcome := "ok"
		switch {
		case failed > 0:
			outcome = fmt.Sprintf("%d FAILED", failed)
		case matches == 0:
			outcome = "untested: no case expects it"
		}
		fmt.Fprintf(w, "%s\t%d matches\t%d near misses\t%s\n", r.ID, matches, misses, outcome)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.Err != nil {
			failed++
			fmt.Fprintf(out, "%s:%d: %s:\n  %s\n", r.File, r.Line, r.Name, strings.ReplaceAll(r.Err.Error(), "\n", "\n  "))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, len(results))
	}
	return nil
}

// countCases counts the cases that a rule stands in: those that expect it, and
// the near misses of its file.
func countCases(r correlation.Rule, results []correlate.Result) (matches, misses, failed int) {
	for _, res := range results {
		if (correlation.File{Name: res.File}).Tested() != r.File {
			continue
		}
		switch {
		case res.Rules == nil:
			misses++
		case slices.Contains(res.Rules, r.ID):
			matches++
		default:
			continue
		}
		if res.Err != nil {
			failed++
		}
	}
	return matches, misses, failed
}

func explainRule(out io.Writer, e correlation.Explanation) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s, %s, confidence %v\n%s:%d\n", e.ID, e.Title, e.Type, e.Severity, e.Confidence, e.File, e.Line)
	if e.About != "" {
		fmt.Fprintf(&b, "\n%s\n", e.About)
	}
	fmt.Fprintf(&b, "\nLooks for %s:\n", e.Pattern)
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "  - %s\n", s)
	}
	if e.Unless != "" {
		fmt.Fprintf(&b, "Unless there is:\n  - %s\n", e.Unless)
	}
	fmt.Fprintf(&b, "\nTells: %s\n", e.Narrative)
	if len(e.Attack) > 0 {
		fmt.Fprintf(&b, "MITRE ATT&CK: %s\n", strings.Join(e.Attack, ", "))
	}
	if len(e.Atlas) > 0 {
		fmt.Fprintf(&b, "MITRE ATLAS: %s\n", strings.Join(e.Atlas, ", "))
	}
	if x := e.Example; x != nil {
		fmt.Fprintf(&b, "\nFor example, %s:\n", x.Name)
		for _, ev := range x.Events {
			fmt.Fprintf(&b, "  %s\n", ev)
		}
		for _, t := range x.Threats {
			fmt.Fprintf(&b, "  => %s\n", t)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
