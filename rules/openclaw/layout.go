package openclaw

import (
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Names of files and folders, in the state folder where nothing else is said.
const (
	ConfigName = "openclaw.json"
	AgentsName = "agents"
	// Port that the gateway listens on where none is set.
	Port = 18789
	// LogFolder has a log a day, openclaw-YYYY-MM-DD.log, where logging.file is unset.
	LogFolder = "/tmp/openclaw"

	// In an agent's folder.
	database      = "agent/openclaw-agent.sqlite"
	modelsName    = "agent/models.json"
	profilesName  = "agent/auth-profiles.json"
	sessionFolder = "sessions"
	importArchive = "session-sqlite-import-archive"
)

// StateFolders are where OpenClaw's state is, for a user with that home: beside it
// the folder of the container image, and one that deployments with a volume use.
func StateFolders(home string) []string {
	var out []string
	for _, p := range []string{path.Join(home, ".openclaw"), "/home/node/.openclaw", "/data/.openclaw"} {
		if path.IsAbs(p) && (len(out) == 0 || out[0] != p) {
			out = append(out, p)
		}
	}
	return out
}

// AgentFiles are the files of one agent that matter to who guards it, as paths in
// its folder.
type AgentFiles struct {
	// Database holds sessions and keys, since 2026.9.6. Empty: there is none.
	Database string
	// Transcripts are sessions as JSONL, as 2026.3.13 keeps them.
	Transcripts []string
	// Leftover are transcripts that an upgrade has imported and left.
	Leftover []string
	// Keys are files that may hold API keys in plain text.
	Keys []string
	// Cut says that there are more than are listed.
	Cut bool
}

// maxFiles bounds each list of AgentFiles.
const maxFiles = 10_000

// Files lists those of the agent whose folder that is. Links are not listed, and
// none is followed out of the folder; what cannot be read is as if it were not there.
func Files(agent *os.Root) AgentFiles {
	var out AgentFiles
	if regular(agent, database) {
		out.Database = database
	}
	for _, name := range []string{modelsName, profilesName} {
		if regular(agent, name) {
			out.Keys = append(out.Keys, name)
		}
	}
	out.Transcripts = out.names(agent, sessionFolder, func(name string) bool { return strings.HasSuffix(name, ".jsonl") })
	out.Leftover = out.names(agent, importArchive, func(name string) bool { return strings.Contains(name, ".jsonl") })
	return out
}

func regular(agent *os.Root, name string) bool {
	info, err := agent.Lstat(name)
	return err == nil && info.Mode().IsRegular()
}

// names lists regular files of a folder, sorted.
func (a *AgentFiles) names(agent *os.Root, folder string, is func(string) bool) []string {
	// With O_DIRECTORY a pipe of that name is refused and not waited for.
	f, err := agent.OpenFile(folder, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(maxFiles + 1) // what was read before an error counts
	if len(entries) > maxFiles {
		entries, a.Cut = entries[:maxFiles], true
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && is(e.Name()) {
			out = append(out, path.Join(folder, e.Name()))
		}
	}
	slices.Sort(out)
	return out
}
