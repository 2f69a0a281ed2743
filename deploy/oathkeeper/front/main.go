// The front of the gateway: passes every request to Ory Oathkeeper, and says in the platform's words what Oathkeeper says in
// its own. Where Keto, the identity provider or the API are away, Oathkeeper answers 500 or nothing; a client of ours is told
// 503 and when to come again. It decides nothing, and lets nothing through that Oathkeeper did not.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	// More than Oathkeeper says in an error.
	refusalBytesMax = 64 << 10
	retryAfterMs    = 1000
	headersWithin   = 10 * time.Second
	idleWithin      = 120 * time.Second
	drainWithin     = 10 * time.Second
)

// A problem, as crates/event/src/problem.rs has it.
type problem struct {
	Type         string `json:"type"`
	Title        string `json:"title"`
	Status       int    `json:"status"`
	Detail       string `json:"detail"`
	Retryable    bool   `json:"retryable"`
	Mend         string `json:"mend,omitempty"`
	RetryAfterMs int    `json:"retry_after_ms,omitempty"`
}

func main() {
	addr := flag.String("addr", "127.0.0.1:4455", "where clients come")
	upstream := flag.String("oathkeeper", "http://127.0.0.1:4454", "Oathkeeper's proxy")
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil || target.Host == "" {
		log.Fatalf("-oathkeeper %s is no address such as http://127.0.0.1:4454", *upstream)
	}
	server := &http.Server{Addr: *addr, Handler: front(target), ReadHeaderTimeout: headersWithin, IdleTimeout: idleWithin}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ended.Done()
		drain, cancel := context.WithTimeout(context.Background(), drainWithin)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			// Live tails never end by themselves.
			_ = server.Close()
		}
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-done
}

func front(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// Rules are matched with the host that the client asked for.
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ModifyResponse: reword,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			log.Printf("Oathkeeper did not answer: %v", err)
			body, header := written(refusal(http.StatusBadGateway))
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(body)
		},
	}
}

// Puts a problem in the place of an error that is Oathkeeper's own. What API and ingest answered passes as it is.
func reword(response *http.Response) error {
	own, err := isOwn(response)
	if err != nil || !own {
		return err
	}
	told := refusal(response.StatusCode)
	body, header := written(told)
	if response.Request != nil && response.Request.Method == http.MethodHead {
		body = nil
	}
	_ = response.Body.Close()
	response.StatusCode, response.Status = told.Status, ""
	response.Header = header
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.TransferEncoding = nil
	return nil
}

// Oathkeeper's own errors are {"error":{"code":…}} as plain JSON, or a bad gateway without a word.
func isOwn(response *http.Response) (bool, error) {
	if response.StatusCode < http.StatusBadRequest {
		return false, nil
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case kind == "" && response.ContentLength == 0:
		return response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusGatewayTimeout, nil
	case kind != "application/json":
		return false, nil
	case response.Request != nil && response.Request.Method == http.MethodHead:
		// Without its body an error can't be told from another; the platform's own are no plain JSON.
		return true, nil
	}
	read, err := io.ReadAll(io.LimitReader(response.Body, refusalBytesMax))
	if err != nil {
		return false, err
	}
	// Whoever reads it gets all of it again.
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(read), response.Body), response.Body}
	var said struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(read, &said) == nil && said.Error.Code == response.StatusCode, nil
}

// What a client is told where Oathkeeper answered with this status.
func refusal(status int) problem {
	told := func(slug, title string, status int, detail, mend string) problem {
		return problem{Type: "urn:eventrunner:error:" + slug, Title: title, Status: status, Detail: detail, Mend: mend}
	}
	switch status {
	case http.StatusUnauthorized:
		return told("unauthorized", "Authentication is required", status, "the gateway does not know who calls",
			"Send a token of your identity provider, or an API key, as `Authorization: Bearer …`.")
	case http.StatusForbidden:
		return told("forbidden", "This identity may not do that", status, "no member's role allows this to the caller here",
			"Name the tenant with `Er-Tenant`, or ask its admin for a role that may.")
	case http.StatusNotFound:
		return told("not-found", "No such thing", status, "the gateway knows no such path, or not with this method",
			"GET / lists what there is.")
	case http.StatusBadRequest:
		return told("invalid-query", "A query parameter is not valid", status, "the gateway can't read the request", "")
	case http.StatusGatewayTimeout:
		return later("timeout", "It took too long to make the events safe", status, "what answers behind the gateway took too long")
	default:
		return later("unavailable", "A part the request needs is away", http.StatusServiceUnavailable,
			"the gateway can't reach what decides whether this may be done, or what does it")
	}
}

// Of what may be sent again.
func later(slug, title string, status int, detail string) problem {
	return problem{Type: "urn:eventrunner:error:" + slug, Title: title, Status: status, Detail: detail,
		Retryable: true, RetryAfterMs: retryAfterMs}
}

func written(told problem) ([]byte, http.Header) {
	// A struct of texts and numbers always can be.
	body, _ := json.Marshal(told)
	header := http.Header{
		"Content-Type":           {"application/problem+json"},
		"Content-Length":         {strconv.Itoa(len(body))},
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}
	if told.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="eventrunner"`)
	}
	if told.RetryAfterMs > 0 {
		header.Set("Retry-After", strconv.Itoa((told.RetryAfterMs+999)/1000))
	}
	return body, header
}

func init() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	log.SetOutput(os.Stderr)
}
