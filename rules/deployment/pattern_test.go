package deployment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpandShowsPathsAsAgentsSeeThem(t *testing.T) {
	d := Deployment{
		AgentDataPath: "/srv/openclaw/agents",
		Homes:         []string{"/root", "/home/node"},
		Mounts:        []Mount{{"/srv", "/elsewhere"}, {"/srv/openclaw", "/home/node/.openclaw"}},
	}
	got := d.Expand([]string{"~/.ssh/", "./openclaw.json", "./agents/**/*.jsonl", "/var/**/auth.log", ".env", "*.pem", "/etc/shadow"})
	want := []Pattern{
		{Under: "/root/.ssh/"}, {Under: "/home/node/.ssh/"},
		{Path: "/home/node/.openclaw/openclaw.json"}, {Path: "/elsewhere/openclaw/openclaw.json"}, {Path: "/srv/openclaw/openclaw.json"},
		{Under: "/home/node/.openclaw/agents/", End: ".jsonl"}, {Under: "/elsewhere/openclaw/agents/", End: ".jsonl"}, {Under: "/srv/openclaw/agents/", End: ".jsonl"},
		{Under: "/var/", End: "/auth.log"}, {End: "/.env"}, {End: ".pem"}, {Path: "/etc/shadow"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestViewsOfSeveralContainers(t *testing.T) {
	d := Deployment{Mounts: []Mount{{"/srv/state", "/home/node/.openclaw"}, {"/srv", "/srv"}, {"/srv/state", "/state"}, {"/", "/host"}}}
	for host, want := range map[string][]string{
		"/srv/state/agents/": {"/home/node/.openclaw/agents/", "/state/agents/", "/srv/state/agents/", "/host/srv/state/agents/"},
		"/srv/state":         {"/home/node/.openclaw", "/state", "/srv/state", "/host/srv/state"},
		"/srv/states":        {"/srv/states", "/host/srv/states"},
		"/etc":               {"/host/etc", "/etc"},
	} {
		if diff := cmp.Diff(want, d.Views(host)); diff != "" {
			t.Errorf("%s: %s", host, diff)
		}
	}
}

func TestPatternsThatNoConsumerCanExpress(t *testing.T) {
	for _, text := range []string{"", "/a/*/b", "a/**/b", "/a/**/", "*", "/a/../b", "/a/**//b", "/a/**/../b", "./../x", "a\nb", "/a//b", "/a/**/*b*", "/a\xff"} {
		if p, err := ParsePattern(text); err == nil {
			t.Errorf("%q was read as %+v", text, p)
		}
	}
}

// Expand leaves out what is no pattern, so a slip in the defaults would not show.
func TestDefaultPatternsAreAllPatterns(t *testing.T) {
	d := Default()
	d.AgentDataPath = "/data/agents"
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}
