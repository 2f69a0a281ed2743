package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What stands behind the front answers as it was told.
func behind(t *testing.T, status int, kind, body string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		} else {
			w.Header()["Content-Type"] = nil
		}
		w.Header().Set("X-Behind", r.Host+" "+r.URL.EscapedPath()+" "+r.Header.Get("X-Forwarded-For"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, address, method, path string) (*http.Response, []byte) {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(front(target))
	t.Cleanup(server.Close)
	request, err := http.NewRequest(method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "gateway.example"
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func TestOathkeepersErrorsAreToldInThePlatformsWords(t *testing.T) {
	for said, want := range map[int]struct {
		status int
		slug   string
		later  bool
	}{
		401: {401, "unauthorized", false},
		403: {403, "forbidden", false},
		404: {404, "not-found", false},
		500: {503, "unavailable", true},
		502: {503, "unavailable", true},
		504: {504, "timeout", true},
	} {
		body, _ := json.Marshal(map[string]any{"error": map[string]any{"code": said, "message": "m"}})
		kind := "application/json"
		if said == 502 || said == 504 {
			kind, body = "", nil
		}
		response, answer := ask(t, behind(t, said, kind, string(body)).URL, http.MethodGet, "/api/v1/events")
		var told problem
		if err := json.Unmarshal(answer, &told); err != nil {
			t.Fatalf("%d: %v in %s", said, err, answer)
		}
		if response.StatusCode != want.status || told.Status != want.status ||
			told.Type != "urn:eventrunner:error:"+want.slug || told.Retryable != want.later {
			t.Errorf("%d was told as %d %s", said, response.StatusCode, answer)
		}
		if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%d: %s", said, got)
		}
		if (response.Header.Get("Retry-After") != "") != want.later {
			t.Errorf("%d: Retry-After %q", said, response.Header.Get("Retry-After"))
		}
		if (response.Header.Get("WWW-Authenticate") != "") != (want.status == 401) {
			t.Errorf("%d: WWW-Authenticate %q", said, response.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestWhatThePlatformAnswersPassesAsItIs(t *testing.T) {
	long := `{"status":"down","parts":"` + strings.Repeat("x", 2*refusalBytesMax) + `"}`
	for _, answer := range []struct {
		status int
		kind   string
		body   string
	}{
		{200, "application/json", `{"error":{"code":200}}`},
		{500, "application/problem+json", `{"error":{"code":500}}`},
		{503, "application/json", `{"status":"down"}`},
		{503, "application/json", long},
		{503, "application/json", `{"error":{"code":500}}`},
		{404, "text/plain", ""},
		{202, "application/json", `{"ids":["1"]}`},
	} {
		response, body := ask(t, behind(t, answer.status, answer.kind, answer.body).URL, http.MethodGet, "/events/%2Fs/1")
		if response.StatusCode != answer.status || response.Header.Get("Content-Type") != answer.kind {
			t.Errorf("%d %s became %d %s", answer.status, answer.kind, response.StatusCode, response.Header.Get("Content-Type"))
		}
		if !bytes.Equal(body, []byte(answer.body)) {
			t.Errorf("%d: %d bytes became %d", answer.status, len(answer.body), len(body))
		}
		// The path as it was spelt, and no address that the client made up.
		if got := response.Header.Get("X-Behind"); got != "gateway.example /events/%2Fs/1 127.0.0.1" {
			t.Errorf("behind it arrived %q", got)
		}
	}
}

func TestWithoutOathkeeperNothingPasses(t *testing.T) {
	gone := behind(t, 200, "text/plain", "open")
	gone.Close()
	response, body := ask(t, gone.URL, http.MethodPost, "/events")
	if response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" || bytes.Contains(body, []byte("open")) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	response, body = ask(t, gone.URL, http.MethodHead, "/")
	if response.StatusCode != 503 || len(body) != 0 {
		t.Errorf("HEAD: %d %s", response.StatusCode, body)
	}
}
