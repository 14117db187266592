package notify

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPaceStaysWithinItsBounds(t *testing.T) {
	p := newPace(time.Second, 5*time.Minute)
	for range 100 {
		last := time.Duration(0)
		for i := range 20 {
			d := p.next()
			if d < time.Second || d > 5*time.Minute {
				t.Fatalf("wait %d: %s", i, d)
			}
			if i < 8 && d < last {
				t.Errorf("wait %d: %s after %s", i, d, last)
			}
			last = d
		}
		p.reset()
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value, date string
		want              time.Duration
	}{
		{"none", "", "", 0},
		{"seconds", "30", "", 30 * time.Second},
		{"spaces", " 30 ", "", 30 * time.Second},
		{"zero", "0", "", 0},
		{"an hour", "3600", "", time.Hour},
		{"too long", "3601", "", time.Hour},
		{"overflow", "99999999999999999999999", "", time.Hour},
		{"negative", "-5", "", 0},
		{"fraction", "1.5", "", 1500 * time.Millisecond},
		{"no number", "1.2.3", "", 0},
		{"hexadecimal", "0x1p9", "", 0},
		{"infinite", "Inf", "", 0},
		{"garbage", "soon", "", 0},
		{"date", now.Add(90 * time.Second).Format(http.TimeFormat), "", 90 * time.Second},
		{"date past", now.Add(-time.Hour).Format(http.TimeFormat), "", 0},
		{"date far", now.Add(1000 * time.Hour).Format(http.TimeFormat), "", time.Hour},
		{"its clock is 10 min behind", now.Add(-9 * time.Minute).Format(http.TimeFormat), now.Add(-10 * time.Minute).Format(http.TimeFormat), time.Minute},
		{"RFC 850", "Tuesday, 10-Mar-26 12:01:00 GMT", "", time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Retry-After", tc.value)
			if tc.date != "" {
				h.Set("Date", tc.date)
			}
			if diff := cmp.Diff(tc.want, retryAfter(h, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
