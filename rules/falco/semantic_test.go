package falco_test

import (
	"maps"
	"testing"

	"github.com/guard0-ai/g0-sidecar/rules/falco"
	"github.com/guard0-ai/g0-sidecar/rules/falco/falcotest"
)

// Events are put together from what alerts and facts show of the fields: each has
// what an event of its type has.
func merge(fields ...falcotest.Event) falcotest.Event {
	out := falcotest.Event{}
	for _, f := range fields {
		maps.Copy(out, f)
	}
	return out
}

// Who acts. The same processes as Falco sees them with its container plugin, and
// by their cgroups and environment without.
var (
	gateway = falcotest.Event{
		"container.id": "a1a1a1a1a1a1", "container.name": "openclaw-gateway", "container.image.repository": "ghcr.io/openclaw/openclaw",
		"proc.name": "openclaw-gatewa", "proc.exepath": "/usr/local/bin/node", "proc.env[OPENCLAW_AGENT]": "main", "user.uid": "1000",
	}
	execTool = merge(gateway, falcotest.Event{"proc.name": "cat", "proc.exepath": "/usr/bin/cat", "proc.env[OPENCLAW_SHELL]": "exec"})
	execNode = merge(gateway, falcotest.Event{"proc.name": "node", "proc.env[OPENCLAW_SHELL]": "exec"})
	beta     = falcotest.Event{
		"container.id": "b1b2c3d4e5f6", "container.name": "openclaw-agent-beta", "thread.cgroups": "cpu=/docker/b1b2c3d4e5f60000 ",
		"proc.name": "python3", "proc.exepath": "/usr/bin/python3.11", "user.uid": "1001",
	}
	alphaSandbox = falcotest.Event{
		"container.id": "c1c2c3c4c5c6", "container.name": "openclaw-sbx-workspace-f26b12d45fe592838932954e6cd155d7",
		"container.label[openclaw.sessionKey]": "agent:alpha:main:workspace:db12", "proc.env[OPENCLAW_SHELL]": "exec",
		"proc.env[OPENCLAW_AGENT_DIR]": "/home/node/.openclaw/agents/alpha/", "proc.name": "sh", "proc.exepath": "/bin/dash", "user.uid": "1000",
	}
	bystander = falcotest.Event{
		"container.id": "d1d2d3d4d5d6", "container.name": "postgres", "container.image.repository": "postgres",
		"proc.name": "postgres", "proc.exepath": "/usr/bin/postgres", "user.uid": "999",
	}
	host = falcotest.Event{"container.id": "host", "container.name": "host", "proc.name": "bash", "proc.exepath": "/usr/bin/bash", "user.uid": "0"}
	root = falcotest.Event{"user.uid": "0"}
	// betaDir is what the core flavour knows beta by where it has neither a cgroup nor a uid of its own.
	betaDir = falcotest.Event{
		"proc.env[OPENCLAW_AGENT_DIR]": "/home/node/.openclaw/agents/beta/", "proc.env[OPENCLAW_AGENT]": "beta",
		"container.id": "f1f2f3f4f5f6", "container.name": "openclaw-sbx-x", "thread.cgroups": "cpu=/docker/f1f2f3f4f5f60000 ", "user.uid": "1000",
	}
)

func opened(path, flags string) falcotest.Event {
	return falcotest.Event{"evt.type": "openat", "fd.num": "7", "fd.name": path, "evt.arg.flags": flags, "evt.rawres": "7", "evt.is_open_read": "true", "evt.is_open_create": "false"}
}

func connected(ip, port string) falcotest.Event {
	return falcotest.Event{"evt.type": "connect", "evt.rawres": "-115", "evt.res": "EINPROGRESS", "fd.typechar": "4", "fd.l4proto": "tcp", "fd.sip": ip, "fd.sport": port}
}

func ran(name, exe string) falcotest.Event {
	return falcotest.Event{"evt.type": "execve", "evt.rawres": "0", "proc.name": name, "proc.exepath": exe, "proc.is_container_healthcheck": "false"}
}

const state = "/home/node/.openclaw"

// TestEachRuleFiresOnItsAct and on nothing beside it, in both flavours.
func TestEachRuleFiresOnItsAct(t *testing.T) {
	facts := facts(t)
	files := map[string]*falcotest.File{"plugin": read(t, "sample.yaml"), "core": read(t, "sample-core.yaml")}
	for _, c := range []struct {
		name string
		ev   falcotest.Event
		want string
	}{
		{"unlink of a log", merge(execTool, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": "/tmp/openclaw/openclaw-2026-07-25.log"}), falco.RuleLogTampering},
		{"rm of a transcript", merge(execTool, falcotest.Event{"evt.type": "unlinkat", "evt.rawres": "0", "evt.arg.name": state + "/agents/alpha/sessions/s.jsonl", "fs.path.name": "<UNKNOWN>s.jsonl"}), falco.RuleLogTampering},
		{"rm that failed", merge(execTool, falcotest.Event{"evt.type": "unlinkat", "evt.rawres": "-13", "evt.arg.name": "/tmp/openclaw/a.log"}), ""},
		{"rm of something else", merge(execTool, falcotest.Event{"evt.type": "unlinkat", "evt.rawres": "0", "evt.arg.name": "/tmp/x.log"}), ""},
		{"log moved away", merge(execTool, falcotest.Event{"evt.type": "renameat2", "evt.rawres": "0", "fs.path.source": "/tmp/openclaw/a.log", "fs.path.target": "/tmp/b"}), falco.RuleLogTampering},
		{"yesterday's log, by OpenClaw", merge(gateway, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": "/tmp/openclaw/openclaw-2026-07-25.log"}), ""},
		{"yesterday's log, by OpenClaw otherwise", merge(gateway, falcotest.Event{"evt.type": "unlinkat", "evt.rawres": "0", "evt.arg.name": "/tmp/openclaw/openclaw-2026-07-25.log"}), ""},
		{"a full log, by OpenClaw", merge(gateway, falcotest.Event{"evt.type": "rename", "evt.rawres": "0", "fs.path.source": "/tmp/openclaw/openclaw-2026-07-25.log", "fs.path.target": "/tmp/openclaw/openclaw-2026-07-25.1.log"}), ""},
		{"a log hidden by OpenClaw", merge(gateway, falcotest.Event{"evt.type": "rename", "evt.rawres": "0", "fs.path.source": "/tmp/openclaw/openclaw-2026-07-25.log", "fs.path.target": "/tmp/x"}), falco.RuleLogTampering},
		{"another log, by OpenClaw", merge(gateway, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": state + "/logs/config-audit.jsonl"}), falco.RuleLogTampering},
		{"a transcript, by OpenClaw", merge(gateway, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": state + "/agents/alpha/sessions/s.jsonl"}), falco.RuleLogTampering},
		{"yesterday's log, by a node that exec started", merge(execNode, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": "/tmp/openclaw/openclaw-2026-07-25.log"}), falco.RuleLogTampering},
		{"log emptied by OpenClaw", merge(gateway, opened("/tmp/openclaw/openclaw-2026-07-25.log", "O_TRUNC|O_WRONLY")), falco.RuleLogTampering},
		{"log rotated in place", merge(execTool, falcotest.Event{"evt.type": "rename", "evt.rawres": "0", "fs.path.source": "/tmp/openclaw/a.log", "fs.path.target": "/tmp/openclaw/a.log.1"}), ""},
		{"log emptied", merge(execTool, opened("/tmp/openclaw/a.log", "O_TRUNC|O_WRONLY")), falco.RuleLogTampering},
		{"log made anew", merge(gateway, opened("/tmp/openclaw/a.log", "O_TRUNC|O_CREAT|O_WRONLY|O_F_CREATED"), falcotest.Event{"evt.is_open_create": "true", "evt.is_open_read": "false"}), ""},
		{"log appended to", merge(gateway, opened("/tmp/openclaw/a.log", "O_APPEND|O_WRONLY")), ""},
		{"logrotate of the host", merge(host, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": "/var/log/syslog.7.gz"}), ""},
		{"an agent's /var/log", merge(beta, falcotest.Event{"evt.type": "unlink", "evt.rawres": "0", "fs.path.name": "/var/log/dpkg.log"}), falco.RuleLogTampering},

		{"another agent's key", merge(beta, opened(state+"/agents/alpha/agent/auth-profiles.json", "O_RDONLY")), falco.RuleCrossAgentAccess},
		{"a folder that begins alike", merge(beta, opened(state+"/agents/beta2/x", "O_RDONLY")), falco.RuleCrossAgentAccess},
		{"another agent's workspace", merge(beta, opened(state+"/workspace/SOUL.md", "O_RDONLY")), falco.RuleCrossAgentAccess},
		{"a sandbox elsewhere", merge(alphaSandbox, opened(state+"/agents/beta/agent/x.md", "O_WRONLY")), falco.RuleCrossAgentAccess},
		{"its own folder", merge(beta, opened(state+"/agents/beta/notes.txt", "O_RDONLY")), ""},
		{"its own workspace", merge(beta, opened(state+"/workspace-beta/notes.txt", "O_RDONLY")), ""},
		{"the gateway serves all", merge(gateway, opened(state+"/agents/beta/notes.txt", "O_RDONLY")), ""},
		{"its own workspace, known by its environment", merge(beta, betaDir, opened(state+"/workspace-beta/notes.txt", "O_RDONLY")), ""},
		{"its own workspace on the host, known by its environment", merge(beta, betaDir, opened("/srv/openclaw/workspace-beta/notes.txt", "O_RDONLY")), ""},
		{"another's workspace, known by its environment", merge(beta, betaDir, opened(state+"/workspace/notes.txt", "O_RDONLY")), falco.RuleCrossAgentAccess},
		{"a sandbox in its own workspace", merge(alphaSandbox, opened(state+"/workspace/notes.txt", "O_RDONLY")), ""},
		{"an open that failed", merge(beta, opened(state+"/agents/alpha/x", "O_RDONLY"), falcotest.Event{"fd.num": "-13"}), ""},

		{"docker's socket", merge(execTool, falcotest.Event{"evt.type": "connect", "evt.rawres": "0", "fd.name": "ffff888000000001->ffff888000000001 /var/run/docker.sock", "evt.arg.addr": "/var/run/docker.sock"}), falco.RuleDockerSocketAccess},
		{"docker's socket, refused", merge(execTool, falcotest.Event{"evt.type": "connect", "evt.rawres": "-111", "evt.arg.addr": "/var/run/docker.sock"}), falco.RuleDockerSocketAccess},
		{"docker's socket elsewhere", merge(beta, falcotest.Event{"evt.type": "connect", "evt.rawres": "0", "evt.arg.addr": "/mnt/docker.sock"}), falco.RuleDockerSocketAccess},
		{"docker's socket from its folder", merge(beta, falcotest.Event{"evt.type": "connect", "evt.rawres": "0", "evt.arg.addr": "docker.sock"}), falco.RuleDockerSocketAccess},
		{"docker of the host", merge(host, falcotest.Event{"evt.type": "connect", "evt.rawres": "0", "evt.arg.addr": "/var/run/docker.sock"}), ""},
		{"another socket", merge(beta, falcotest.Event{"evt.type": "connect", "evt.rawres": "0", "evt.arg.addr": "/run/postgres.sock"}), ""},

		{"gateway on all addresses", merge(gateway, falcotest.Event{"evt.type": "bind", "evt.rawres": "0", "fd.sip": "0.0.0.0", "fd.sport": "18789"}), falco.RuleGatewayExternalBind},
		{"gateway on loopback", merge(gateway, falcotest.Event{"evt.type": "bind", "evt.rawres": "0", "fd.sip": "127.0.0.1", "fd.sport": "18789"}), ""},
		{"gateway on loopback, v6", merge(gateway, falcotest.Event{"evt.type": "bind", "evt.rawres": "0", "fd.sip": "::1", "fd.sport": "18789"}), ""},
		{"another port", merge(gateway, falcotest.Event{"evt.type": "bind", "evt.rawres": "0", "fd.sip": "0.0.0.0", "fd.sport": "8080"}), ""},

		{"a private key", merge(execTool, opened("/home/node/.ssh/id_ed25519", "O_RDONLY")), falco.RuleCredentialAccess},
		{"OpenClaw's config by cat", merge(execTool, opened(state+"/openclaw.json", "O_RDONLY")), falco.RuleCredentialAccess},
		{"OpenClaw's config by another node", merge(execNode, opened(state+"/openclaw.json", "O_RDONLY")), falco.RuleCredentialAccess},
		{"OpenClaw's config by itself", merge(gateway, opened(state+"/openclaw.json", "O_RDONLY")), ""},
		{"a private key by OpenClaw", merge(gateway, opened("/home/node/.ssh/id_ed25519", "O_RDONLY")), falco.RuleCredentialAccess},
		{"an .env anywhere", merge(beta, opened("/app/.env", "O_RDONLY")), falco.RuleCredentialAccess},
		{"an .env of somebody else", merge(bystander, opened("/app/.env", "O_RDONLY")), ""},
		{"a name that ends alike", merge(beta, opened("/app/x.env", "O_RDONLY")), ""},

		{"a transcript by cat", merge(execTool, opened(state+"/agents/alpha/sessions/s.jsonl", "O_RDONLY")), falco.RuleSessionAccess},
		{"a transcript on the host", merge(host, opened("/srv/openclaw/agents/alpha/sessions/s.jsonl", "O_RDONLY")), falco.RuleSessionAccess},
		{"a transcript by OpenClaw", merge(gateway, opened(state+"/agents/alpha/sessions/s.jsonl", "O_RDWR")), ""},
		{"the database by OpenClaw", merge(gateway, opened(state+"/agents/alpha/agent/openclaw-agent.sqlite", "O_RDWR")), ""},
		{"another .jsonl", merge(execTool, opened("/tmp/data.jsonl", "O_RDONLY")), ""},

		{"curl", merge(execTool, ran("curl", "/usr/bin/curl")), falco.RuleSensitiveBinary},
		{"nc behind a link", merge(execTool, ran("nc", "/usr/bin/nc.openbsd")), falco.RuleSensitiveBinary},
		{"a long name", merge(execTool, ran("a-very-long-pro", "/opt/a-very-long-program-name")), falco.RuleSensitiveBinary},
		{"by its path", merge(execTool, ran("x", "/opt/tools/exfil")), falco.RuleSensitiveBinary},
		{"curl as root", merge(execTool, ran("curl", "/usr/bin/curl"), root), falco.RuleSensitiveBinary},
		{"ls", merge(execTool, ran("ls", "/usr/bin/ls")), ""},
		{"curl of the host", merge(host, ran("curl", "/usr/bin/curl")), ""},
		{"curl that is not there", merge(execTool, ran("bash", "/usr/bin/bash"), falcotest.Event{"evt.rawres": "-2"}), ""},

		{"ls as root", merge(execTool, ran("ls", "/usr/bin/ls"), root), falco.RuleRootContainer},
		{"ls as root of the host", merge(host, ran("ls", "/usr/bin/ls")), ""},
		{"ls as root of a bystander", merge(bystander, ran("ls", "/usr/bin/ls"), root), ""},

		{"to an unknown address", merge(execTool, connected("203.0.113.77", "443")), falco.RuleUnexpectedEgress},
		{"to an unknown address, v6", merge(execTool, connected("2001:db8::77", "443")), falco.RuleUnexpectedEgress},
		{"to an allowed network", merge(gateway, connected("160.79.105.1", "443")), ""},
		{"to an allowed network, v6", merge(gateway, connected("2607:6bc0::1", "443")), ""},
		{"to an allowed address", merge(gateway, connected("10.1.2.3", "5432")), ""},
		{"beside an allowed address", merge(gateway, connected("10.1.2.4", "5432")), falco.RuleUnexpectedEgress},
		{"to an allowed port", merge(gateway, connected("203.0.113.53", "8443")), ""},
		{"to another port there", merge(gateway, connected("203.0.113.53", "22")), falco.RuleUnexpectedEgress},
		{"asking the way to an allowed port", merge(gateway, connected("203.0.113.53", "0"), falcotest.Event{"fd.l4proto": "udp"}), ""},
		{"asking the way to a domain's port", merge(gateway, connected("160.79.106.11", "0"), falcotest.Event{"fd.l4proto": "udp", "fd.sip.name": "api.anthropic.com"}), ""},
		{"asking the way elsewhere", merge(gateway, connected("203.0.113.54", "0"), falcotest.Event{"fd.l4proto": "udp"}), falco.RuleUnexpectedEgress},
		{"to a resolver", merge(gateway, connected("1.1.1.1", "53")), ""},
		{"to another resolver", merge(gateway, connected("8.8.8.8", "53")), falco.RuleUnexpectedEgress},
		{"to a domain's new address", merge(gateway, connected("140.82.121.99", "22"), falcotest.Event{"fd.sip.name": "github.com"}), ""},
		{"to a domain's other port", merge(gateway, connected("160.79.106.11", "80"), falcotest.Event{"fd.sip.name": "api.anthropic.com"}), falco.RuleUnexpectedEgress},
		{"to itself", merge(gateway, connected("127.0.0.1", "18789")), ""},
		{"a connection that failed", merge(execTool, falcotest.Event{"evt.type": "connect", "evt.rawres": "-111", "evt.res": "ECONNREFUSED", "fd.typechar": "4"}), ""},
		{"a datagram", merge(execTool, connected("198.51.100.53", "53"), falcotest.Event{"evt.type": "sendto", "evt.rawres": "40", "fd.l4proto": "udp", "fd.name_changed": "true"}), falco.RuleUnexpectedEgress},
		{"the next datagram", merge(execTool, connected("198.51.100.53", "53"), falcotest.Event{"evt.type": "sendto", "evt.rawres": "40", "fd.l4proto": "udp", "fd.name_changed": "false"}), ""},
		{"a bystander", merge(bystander, connected("203.0.113.77", "443")), ""},
	} {
		for flavour, file := range files {
			t.Run(c.name+", "+flavour, func(t *testing.T) {
				if got := file.First(facts, c.ev); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		}
	}
}

// TestHealthChecks are the image's own, and come every few seconds.
func TestHealthChecks(t *testing.T) {
	facts := facts(t)
	for name, check := range map[string]string{
		"sample.yaml": "proc.is_container_healthcheck", "pods.yaml": "proc.is_container_liveness_probe",
	} {
		curl := merge(alphaSandbox, ran("curl", "/usr/bin/curl"), root)
		if got := read(t, name).First(facts, merge(curl, falcotest.Event{check: "true"})); got != "" {
			t.Errorf("%s: got %q for a health check", name, got)
		}
		if got := read(t, name).First(facts, merge(curl, falcotest.Event{check: "false"})); got != falco.RuleSensitiveBinary {
			t.Errorf("%s: got %q beside a health check", name, got)
		}
	}
}

// TestTheGatewayStartsSandboxes spares what it does itself for that, and only that.
func TestTheGatewayStartsSandboxes(t *testing.T) {
	facts, file := facts(t), read(t, "sandboxes.yaml")
	socket := falcotest.Event{"evt.type": "connect", "evt.rawres": "0", "evt.arg.addr": "/var/run/docker.sock"}
	docker := falcotest.Event{"proc.name": "docker", "proc.exepath": "/usr/bin/docker", "proc.pexepath": "/usr/local/bin/node"}
	inParent := falcotest.Event{"container.id": "e1e2e3e4e5e6", "container.name": "new", "thread.cgroups": "cpu=/g0.slice/g0-agents.slice/docker-e1.scope "}
	for _, c := range []struct {
		name string
		ev   falcotest.Event
		want string
	}{
		{"the gateway's own connection", merge(gateway, socket), ""},
		{"its docker's", merge(gateway, docker, socket), ""},
		{"its docker", merge(gateway, ran("docker", "/usr/bin/docker"), docker), ""},
		{"an exec's", merge(execTool, socket), falco.RuleDockerSocketAccess},
		{"an exec's docker's", merge(execTool, docker, socket), falco.RuleDockerSocketAccess},
		{"an exec's docker", merge(execTool, ran("docker", "/usr/bin/docker"), docker), falco.RuleSensitiveBinary},
		{"the gateway's curl", merge(gateway, ran("curl", "/usr/bin/curl"), falcotest.Event{"proc.pexepath": "/usr/local/bin/node"}), falco.RuleSensitiveBinary},
		{"another agent's node", merge(beta, socket, falcotest.Event{"proc.exepath": "/usr/local/bin/node"}), falco.RuleDockerSocketAccess},
		{"a new container among the agents", merge(inParent, ran("curl", "/usr/bin/curl")), falco.RuleSensitiveBinary},
	} {
		if got := file.First(facts, c.ev); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
