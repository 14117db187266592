package compose

// The token that Falco or falcosidekick shows to g0. It is one of a sensor: the
// shared token is known to the agents, so what comes with it proves nothing.
const falcoToken = "${G0_FALCO_TOKEN:?set it to the token of g0's sensor falco}"

const (
	stateDir    = "/var/lib/g0"
	sidecarUser = "65532"
)

// toHost lets a container call the machine by a name, whatever its address.
var toHost = []string{hostName + ":host-gateway"}

// unprivileged is for what needs nothing of the kernel.
var unprivileged = []string{"no-new-privileges:true"}

// tetragon is as its documentation runs it without Kubernetes (v1.7.0,
// "Deploy as a container"): the machine's pids and cgroups. /sys/fs/bpf is the
// machine's, so that what Tetragon pinned outlives a container that was killed.
// tetra prints the state and ends with 0 whatever it is, hence the grep.
func tetragon(release string) file {
	return file{
		Name:  "g0-tetragon",
		about: "docker compose -f docker-compose.tetragon.yml up -d   # then: docker exec tetragon tetra getevents -o compact",
		Services: map[string]service{"tetragon": {
			Image: tetragonImage + ":" + release, ContainerName: "tetragon", Restart: "unless-stopped",
			Privileged: true, PID: "host", Cgroup: "host",
			Volumes: []string{
				"/sys/kernel:/sys/kernel",
				"/sys/fs/bpf:/sys/fs/bpf",
				"/proc:/procHost",
				tetragonRun + ":" + tetragonRun,
				"/var/log/tetragon:/var/log/tetragon",
				"./tetragon-policies:/etc/tetragon/tetragon.tp.d:ro",
			},
			Command: []string{
				"tetragon",
				"--procfs=/procHost",
				"--server-address=" + tetragonSocket,
				"--export-filename=/var/log/tetragon/events.log",
				"--export-file-max-size-mb=50",
				"--export-file-max-backups=5",
				"--export-file-perm=600",
			},
			Healthcheck: &healthcheck{
				Test:     []string{"CMD-SHELL", "tetra status --server-address " + tetragonSocket + " | grep -q 'Health Status: running'"},
				Interval: "15s", Timeout: "10s", Start: "30s",
			},
		}},
	}
}

// falcoService reads our rules before Falco's own: of one event Falco tells only
// the first rule that matches. It looks for the machine's files below /host.
func falcoService() service {
	return service{
		Image: falcoImage, ContainerName: "falco", Restart: "unless-stopped", Privileged: true,
		Volumes: []string{
			"/proc:/host/proc:ro",
			"/etc:/host/etc:ro",
			"/var/run/docker.sock:/host/var/run/docker.sock",
			"./" + falcoRulesFile + ":" + falcoRulesInside + ":ro",
		},
		Command: []string{"/usr/bin/falco", "-r", falcoRulesInside, "-r", "/etc/falco/falco_rules.yaml"},
	}
}

func falco() file {
	s := falcoService()
	s.DependsOn = []string{"falcosidekick"}
	s.Command = append(s.Command,
		"-o", "json_output=true", "-o", "http_output.enabled=true", "-o", "http_output.url=http://falcosidekick:2801/")
	return file{
		Name:  "g0-falco",
		about: "Falco, and falcosidekick that posts its alerts to g0 with a Bearer token.",
		Services: map[string]service{
			"falco": s,
			"falcosidekick": {
				Image: sidekickImage, ContainerName: "falcosidekick", Restart: "unless-stopped",
				ReadOnly: true, CapDrop: []string{"ALL"}, SecurityOpt: unprivileged, ExtraHosts: toHost,
				Environment: map[string]string{
					"WEBHOOK_ADDRESS":       "http://" + hostName + ":" + receiverPort + "/falco",
					"WEBHOOK_CUSTOMHEADERS": "Authorization:Bearer " + falcoToken,
				},
			},
		},
	}
}

// directConfig is read by Falco, which puts the variable in; $$ keeps Compose
// from doing it, so that the token is in no command line. Falco sends no header
// but Basic, whose password g0 takes for a token.
const directConfig = `json_output: true
http_output:
  enabled: true
  url: "http://falco:$${G0_FALCO_TOKEN}@` + hostName + ":" + receiverPort + `/falco"
`

func falcoDirect() file {
	s := falcoService()
	s.ExtraHosts = toHost
	s.Environment = map[string]string{"G0_FALCO_TOKEN": falcoToken}
	s.Configs = []mounted{{Source: "g0", Target: "/etc/falco/config.d/g0.yaml"}}
	return file{
		Name:     "g0-falco",
		about:    "Falco posts its alerts to g0 itself, with the token as the password of Basic. Needs Compose 2.23.1 or newer.",
		Services: map[string]service{"falco": s},
		Configs:  map[string]content{"g0": {directConfig}},
	}
}

// sidecar is on the machine's network: it is reached at the address of Docker's
// bridge, by what calls host.docker.internal, and through none of the chains that
// hold the agents back. Group 0 may use Tetragon's socket, which has mode 0660.
func sidecar(version string) file {
	return file{
		Name: "g0",
		about: "g0 beside Tetragon. Agents post to http://" + hostName + ":" + receiverPort + "/events, and need in their own file:\n" +
			"    extra_hosts: [ \"" + hostName + ":host-gateway\" ]",
		Services: map[string]service{"g0": {
			Image: sidecarImage + ":" + version, ContainerName: "g0", Restart: "unless-stopped", NetworkMode: "host",
			User: sidecarUser + ":0", ReadOnly: true, CapDrop: []string{"ALL"}, SecurityOpt: unprivileged,
			Volumes: []string{
				tetragonRun + ":" + tetragonRun + ":ro",
				"./" + pipelineFile + ":/etc/g0/pipeline.yaml:ro",
				"g0-state:" + stateDir,
			},
			Tmpfs: []string{"/tmp"},
			Environment: map[string]string{
				"G0_ADDRESS":         "${G0_BIND:-172.17.0.1}:" + receiverPort,
				"G0_AUTH_TOKEN":      "${G0_AUTH_TOKEN:?set it to the token that the agents' plugin shows}",
				"G0_FALCO_TOKEN":     falcoToken,
				"G0_OPERATOR_TOKEN":  "${G0_OPERATOR_TOKEN:-}",
				"G0_KILLSWITCH_AUTO": "${G0_KILLSWITCH_AUTO:-false}",
				"G0_NOTIFY_MODE":     "${G0_NOTIFY_MODE:-realtime}",
			},
			Command: []string{"run", "--pipeline", "/etc/g0/pipeline.yaml", "--state", stateDir},
		}},
		Volumes: map[string]volume{"g0-state": {}},
	}
}
