// Package redact takes secrets and personal data out of texts that are shown to
// people who did not ask for them. It finds what has a form of its own: keys of
// known services, tokens, addresses, card numbers. What has none, a password in a
// sentence, it cannot find: it lowers the risk of a screen being read, and is no
// reason to publish what it gives.
package redact

import (
	"regexp"
	"strings"
)

// maxText bounds what is looked at, in bytes: what is longer is cut there.
const maxText = 64 << 10

// pattern is a form of secret. Only the group called x, if there is one, is taken
// out.
type pattern struct {
	name string
	re   *regexp.Regexp
	// near are substrings of which one must be in a text for re to be tried,
	// compared in lower case. Empty: always.
	near []string
	// ok judges a match further; nil: each counts.
	ok func(string) bool
}

// secretName is a name whose value is a secret, with what may stand behind it.
const secretName = `(?i)(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|credential)[a-z0-9_-]{0,32}`

var nearSecret = []string{"pass", "secret", "token", "key", "authorization", "credential"}

// notScheme keeps "Authorization: Bearer" readable: what follows it is found apart.
func notScheme(s string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(s), " ")
	return scheme != "bearer" && scheme != "basic"
}

// patterns hold the forms as the services document them: AWS "IAM identifiers",
// GitHub "About authentication", Slack "Token types", Stripe "API keys", Google
// "API keys", OpenAI's and Anthropic's sk- keys, RFC 7468 (PEM), RFC 7519 (JWT),
// RFC 3986 (userinfo), ISO 13616 (IBAN), ISO/IEC 7812 (cards).
var patterns = []pattern{
	{"key", regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)`), []string{"private key"}, nil},
	{"key", regexp.MustCompile(`\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b`), []string{"akia", "asia", "abia", "acca"}, nil},
	{"key", regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}|glpat-[A-Za-z0-9_-]{20,})`), []string{"gh", "glpat-"}, nil},
	{"key", regexp.MustCompile(`\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}`), []string{"xox", "xapp-"}, nil},
	{"key", regexp.MustCompile(`\b[spr]k[-_][A-Za-z0-9_-]{12,}`), []string{"sk-", "sk_", "pk_", "rk_", "pk-", "rk-"}, nil},
	{"key", regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{30,}`), []string{"aiza"}, nil},
	{"key", regexp.MustCompile(`\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}`), []string{":aa"}, nil},
	{"url", regexp.MustCompile(`(?i)https://(?:hooks\.slack\.com/(?:services|workflows|triggers)|(?:[a-z]+\.)?discord(?:app)?\.com/api/webhooks)/(?P<x>[^\s"'<>]+)`), []string{"hooks.slack.com", "discord"}, nil},
	{"token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*`), []string{"eyj"}, nil},
	{"token", regexp.MustCompile(`(?i)\b(?:bearer|basic|token)\s+(?P<x>[A-Za-z0-9+/_.~=-]{8,})`), []string{"bearer", "basic", "token"}, nil},
	{"password", regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@"'<>]{0,256}:(?P<x>[^\s/@"'<>]{1,256})@`), []string{"://"}, nil},
	{"secret", regexp.MustCompile(secretName + `["']?\s{0,4}[:=]\s{0,4}["'](?P<x>[^"'\n]{4,256})["']`), nearSecret, notScheme},
	{"secret", regexp.MustCompile(secretName + `["']?\s{0,4}[:=]\s{0,4}["']?(?P<x>[^\s"'&;,|<>]{4,})`), nearSecret, notScheme},
	{"secret", regexp.MustCompile(`(?i)(?:^|\s)--?(?:password|passwd|token|secret|api-?key)(?:=|\s+)(?P<x>[^\s"']{4,})`), []string{"-pass", "-token", "-secret", "-api"}, nil},
	{"email", regexp.MustCompile(`(?i)\b[a-z0-9._%+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}\.[a-z]{2,24}\b`), []string{"@"}, nil},
	{"card", regexp.MustCompile(`\b[0-9](?:[ -]?[0-9]){12,18}\b`), nil, luhn},
	{"iban", regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b`), nil, iban},
	{"ssn", regexp.MustCompile(`\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b`), []string{"-"}, nil},
	{"phone", regexp.MustCompile(`\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}\b`), []string{"+"}, nil},
}

// Text gives s with each secret in it replaced by "<key>", "<email>" and so on,
// and what is beyond 64 KiB by "…". Text without one is returned as it is.
func Text(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	var lower string
	for i := range patterns {
		p := &patterns[i]
		if len(p.near) > 0 {
			if lower == "" {
				lower = strings.ToLower(s)
			}
			if !containsAny(lower, p.near) {
				continue
			}
		}
		if out := p.replace(s); out != s {
			s, lower = out, ""
		}
	}
	return s
}

func containsAny(s string, subs []string) bool {
	for _, sub := range subs {
		if strings.Contains(s, sub) {
			return true
		}
	}
	return false
}

func (p *pattern) replace(s string) string {
	found := p.re.FindAllStringSubmatchIndex(s, -1)
	if found == nil {
		return s
	}
	from, to := 0, 1
	if g := p.re.SubexpIndex("x"); g > 0 {
		from, to = 2*g, 2*g+1
	}
	var b strings.Builder
	at := 0
	for _, m := range found {
		match := s[m[from]:m[to]]
		if p.ok != nil && !p.ok(match) || isMark(match) {
			continue
		}
		b.WriteString(s[at:m[from]])
		b.WriteString("<" + p.name + ">")
		at = m[to]
	}
	b.WriteString(s[at:])
	return b.String()
}

// isMark says whether s is what an earlier pattern put in a secret's place.
func isMark(s string) bool {
	name, ok := strings.CutPrefix(s, "<")
	name, ok2 := strings.CutSuffix(name, ">")
	if !ok || !ok2 {
		return false
	}
	for i := range patterns {
		if patterns[i].name == name {
			return true
		}
	}
	return false
}

// luhn checks a card number's last digit (ISO/IEC 7812-1, annex B).
func luhn(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return sum%10 == 0 && strings.Trim(s, "0 -") != ""
}

// iban checks the check digits (ISO 13616, ISO/IEC 7064 MOD 97-10).
func iban(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, r := range s[4:] + s[:4] {
		if r >= 'A' && r <= 'Z' {
			rest = (rest*100 + int(r-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(r-'0')) % 97
		}
	}
	return rest == 1
}
