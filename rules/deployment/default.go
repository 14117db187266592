package deployment

// Default holds what stands for keys left out of a description. The lists rest
// on what real gateways of OpenClaw 2026.9.6 and 2026.3.13 keep and where.
func Default() Deployment {
	return Deployment{
		Homes:   []string{"/root", "/home/node"},
		Gateway: Gateway{Port: 18789, Binaries: []string{"/usr/local/bin/node", "/usr/bin/node"}},
		Credentials: []string{
			".env", "auth-profiles.json", "models.json", "oauth.json", "creds.json", ".netrc", ".npmrc", ".pgpass",
			".aws/credentials", ".docker/config.json", ".kube/config", ".git-credentials",
			"~/.ssh/", "~/.aws/", "~/.gnupg/",
			"./openclaw.json", "./credentials/", "./identity/", "./state/openclaw.sqlite",
			"./secrets.json", "./agents/**/openclaw-agent.sqlite",
			"/etc/shadow", "/etc/gshadow",
		},
		Sessions: []string{
			"./agents/**/*.jsonl", "./agents/**/sessions.json",
			"./agents/**/openclaw-agent.sqlite", "./agents/**/openclaw-agent.sqlite-wal",
		},
		Logs:      []string{"/tmp/openclaw/", "./logs/", "/var/log/", "./agents/**/*.jsonl"},
		Cognitive: []string{"SOUL.md", "MEMORY.md", "IDENTITY.md", "AGENTS.md", "USER.md", "./workspace/memory/**/*.md"},
		Code:      []string{"./cache/shell-snapshots/", "./skills/", "./plugin-skills/", "./extensions/"},
		Config:    []string{"./openclaw.json"},
		SensitiveBinaries: []string{
			"curl", "wget", "nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "socat", "nmap", "tcpdump",
			"ssh", "scp", "sftp", "rsync", "telnet", "gcc", "cc", "docker", "kubectl", "nsenter",
		},
		RuntimeSockets: []string{
			"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
			"/run/podman/podman.sock", "/var/run/crio/crio.sock",
		},
		Enforcement: Enforcement{Mode: Observe, OnViolation: Kill},
	}
}
