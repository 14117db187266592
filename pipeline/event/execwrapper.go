package event

import "strings"

// What OpenClaw (2026.9) puts around the command of its exec tool, as seen in
// the arguments of the shell:
//
//	--noprofile --norc -c "…\neval 'export PATH="…"; unset OPENCLAW_PREPEND_PATH; COMMAND'"
//	-lc "export PATH=…; unset OPENCLAW_PREPEND_PATH; COMMAND"
//
// the second in a sandbox container, after "exec -i … /bin/sh" for the docker
// client outside. OpenClaw 2026.3 runs bash -c COMMAND, which looks like any
// other shell: nothing can be told from it.
const (
	wrapperMark = "unset OPENCLAW_PREPEND_PATH; "
	wrapperPath = "export PATH="
	wrapperEval = "eval '"
	quotedQuote = `'\''`
)

// wrappedCommand takes the command that the agent asked for out of the
// arguments of a process; "" where they are not OpenClaw's wrapper. An agent
// can write such arguments itself, so the command is not proof of what ran: the
// processes that follow are.
func wrappedCommand(args string) string {
	before, command, ok := strings.Cut(args, wrapperMark)
	if !ok {
		return ""
	}
	at := strings.LastIndex(before, wrapperPath)
	if at < 0 || strings.ContainsRune(before[at:], '\n') {
		return ""
	}
	before = before[:at]
	switch {
	case strings.HasSuffix(before, wrapperEval):
		return unquoteEval(command)
	case strings.HasSuffix(before, `-lc "`): // Tetragon quotes an argument with blanks
		return strings.TrimSuffix(command, `"`)
	case strings.HasSuffix(before, "-lc "): // Falco does not
		return command
	default:
		return ""
	}
}

// unquoteEval reads a single-quoted shell string up to its end, where the
// source has not cut it before.
func unquoteEval(s string) string {
	var out strings.Builder
	for {
		text, rest, ok := strings.Cut(s, "'")
		out.WriteString(text)
		if !ok || !strings.HasPrefix(rest, quotedQuote[1:]) {
			return out.String()
		}
		out.WriteByte('\'')
		s = rest[len(quotedQuote)-1:]
	}
}
