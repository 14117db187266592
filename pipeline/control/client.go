package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// answerTimeout bounds a request, besides what it asks to wait.
	answerTimeout = 20 * time.Second
	// maxAnswer bounds an answer in bytes: statistics of many agents are long.
	maxAnswer = 64 << 20
)

// ErrNotRunning says that nobody listens on the socket.
var ErrNotRunning = errors.New("no g0 is running")

// Client asks a running g0. Safe for concurrent use; it keeps no connection.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client for the socket at path. Its methods give
// [ErrNotRunning] if nobody listens there, and the server's own words if it
// refuses.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Health gives the health as JSON, as GET /health of the receiver has it.
func (c *Client) Health(ctx context.Context) (jsontext.Value, error) {
	return c.call(ctx, http.MethodGet, "/health", nil)
}

// Stats gives the statistics as JSON, names of agents included.
func (c *Client) Stats(ctx context.Context) (jsontext.Value, error) {
	return c.call(ctx, http.MethodGet, "/stats", nil)
}

// KillSwitch gives how the kill switch stands.
func (c *Client) KillSwitch(ctx context.Context) (ks KillSwitch, err error) {
	body, err := c.call(ctx, http.MethodGet, "/killswitch", nil)
	if err != nil {
		return KillSwitch{}, err
	}
	return ks, decode(body, &ks)
}

// Stop stops an agent, or all. It returns once that is decided, and as far as req says
// once it is done: see [Answer.Outcome].
func (c *Client) Stop(ctx context.Context, req Request) (Answer, error) {
	return c.command(ctx, "stop", req)
}

// Resume lets a stopped agent go on, and forgets what was counted against it.
func (c *Client) Resume(ctx context.Context, req Request) (Answer, error) {
	return c.command(ctx, "resume", req)
}

func (c *Client) command(ctx context.Context, verb string, req Request) (a Answer, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return Answer{}, fmt.Errorf("encode command: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, req.Wait+answerTimeout)
	defer cancel()
	target := "/killswitch/" + verb + "?wait=" + req.Wait.String()
	if req.TTL != 0 {
		target += "&ttl=" + req.TTL.String()
	}
	if body, err = c.call(ctx, http.MethodPost, target, body); err != nil {
		return Answer{}, err
	}
	return a, decode(body, &a)
}

// maxLine bounds one event in bytes.
const maxLine = 32 << 20

// Events hands each event that req asks for to see, as a line of JSON without its
// end that see must not keep; an error of see ends it. It returns nil at the end:
// without Follow when all were seen, else when g0 ends.
func (c *Client) Events(ctx context.Context, req EventsRequest, see func(line []byte) error) error {
	res, err := c.send(ctx, http.MethodGet, "/events?"+req.query().Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return refusal(res.Status, io.LimitReader(res.Body, maxAnswer))
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := see(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read g0's events: %w", err)
	}
	return nil
}

// send makes one request; the caller closes the answer's body.
func (c *Client) send(ctx context.Context, method, target string, in []byte) (*http.Response, error) {
	if err := checkPath(c.path); err != nil {
		return nil, err
	}
	// The host is of no account on this socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://g0"+target, bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return res, nil
}

// refusal is what an answer that is not 200 says.
func refusal(status string, body io.Reader) error {
	var f failure
	out, err := io.ReadAll(body)
	if err != nil || json.Unmarshal(out, &f) != nil || f.Error == "" {
		return fmt.Errorf("g0 answers %s", status)
	}
	return errors.New(f.Error)
}

// call makes one request and gives the body of a 200.
func (c *Client) call(ctx context.Context, method, target string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxWait+answerTimeout)
	defer cancel()
	res, err := c.send(ctx, method, target, in)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read g0's answer: %w", err)
	}
	if len(out) > maxAnswer {
		return nil, fmt.Errorf("g0's answer is larger than %d bytes", maxAnswer)
	}
	if res.StatusCode == http.StatusOK {
		return bytes.TrimSpace(out), nil
	}
	return nil, refusal(res.Status, bytes.NewReader(out))
}

// explain says in words what a failed connection means.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w with the state folder %s", ErrNotRunning, filepath.Dir(c.path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("only root and the user that runs g0 may use its control socket: %w", err)
	}
	return fmt.Errorf("ask g0: %w", err)
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into, jsontext.AllowInvalidUTF8(true)); err != nil {
		return fmt.Errorf("decode g0's answer: %w", err)
	}
	return nil
}
