package event

import "testing"

func TestWrappedCommand(t *testing.T) {
	const (
		snapshot = `if [ -r '/home/node/.openclaw/cache/shell-snapshots/36629141.sh' ]; then . '/home/node/.openclaw/cache/shell-snapshots/36629141.sh'; fi` + "\n"
		path     = `export PATH='/usr/local/bin:/usr/bin:/bin'` + "\n"
		eval     = `eval 'export PATH="${OPENCLAW_PREPEND_PATH}${PATH:+:$PATH}"; unset OPENCLAW_PREPEND_PATH; `
		oom      = `-c "echo 1000 > /proc/self/oom_score_adj 2>/dev/null; exec "$0" "$@"" /bin/bash `
	)
	tests := []struct{ name, args, want string }{
		{"bash", `--noprofile --norc -c "` + snapshot + path + eval + `cat /data/.openclaw/.env'"`, `cat /data/.openclaw/.env`},
		{"quotes in it", `--noprofile --norc -c "` + snapshot + path + eval + `echo '\''a b'\'' | sed '\''s/"/x/'\'''"`, `echo 'a b' | sed 's/"/x/'`},
		{"lines in it", `--noprofile --norc -c "` + path + eval + "for i in 1 2; do\n  echo $i\ndone'\"", "for i in 1 2; do\n  echo $i\ndone"},
		{"the stage before", oom + `--noprofile --norc -c "` + snapshot + path + eval + `id'"`, `id`},
		{"cut by the source", `--noprofile --norc -c "` + snapshot + path + eval + `echo aaa`, `echo aaa`},
		{"as Falco writes it", `--noprofile --norc -c ` + snapshot + path + eval + `id; pwd'`, `id; pwd`},
		{"sandbox", `-lc "export PATH=/usr/bin:/bin; unset OPENCLAW_PREPEND_PATH; curl -s 'http://x' "`, `curl -s 'http://x' `},
		{"sandbox, Falco", `-lc export PATH=/usr/bin:/bin; unset OPENCLAW_PREPEND_PATH; echo "hi"`, `echo "hi"`},
		{"docker's client", `exec -i -w /workspace --env-file /tmp/x/container.env 0123 /bin/sh -lc "export PATH=/bin; unset OPENCLAW_PREPEND_PATH; ls"`, `ls`},
		{"the mark in the command", `-lc "export PATH=/bin; unset OPENCLAW_PREPEND_PATH; echo unset OPENCLAW_PREPEND_PATH; ls"`, `echo unset OPENCLAW_PREPEND_PATH; ls`},
		{"a bare command", `-c "cat /etc/passwd"`, ``},
		{"the mark alone", `-c "rm -rf /; unset OPENCLAW_PREPEND_PATH; ls"`, ``},
		{"the mark in another line", "-lc \"export PATH=/bin\nrm -rf /; unset OPENCLAW_PREPEND_PATH; ls\"", ``},
		{"another shell's eval", `-c "export PATH=/bin; unset OPENCLAW_PREPEND_PATH; ls"`, ``},
		{"nothing", ``, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := wrappedCommand(tt.args); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
