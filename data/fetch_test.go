package data

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// body is the file that the test servers serve: long enough that a cut in its
// middle falls between two writes of the client.
var body = bytes.Repeat(ramp(1000), 300)

// oneFile is a set of one file with the published MD5 of body.
func oneFile(mirrors ...string) *knownSet {
	sum := md5.Sum(body)
	return &knownSet{name: "toy", mirrors: mirrors, files: []knownFile{{name: "toy.bin", md5: hex.EncodeToString(sum[:])}}}
}

// quick are options that don't make a test wait.
func quick(dir string) FetchOptions {
	return FetchOptions{Dir: dir, IdleTimeout: 100 * time.Millisecond, Backoff: time.Microsecond}
}

// server answers the n-th request, from 0, with serve, and remembers the Range
// of each.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	ranges []string
}

func serve(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.ranges)
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		s.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// whole answers as a good server does, ranges included.
func whole(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// part answers with the first n bytes of a body announced in full, and then
// breaks off.
func part(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Write(body[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// wantFile fails unless dir/toy holds exactly the right file, and no part.
func wantFile(t *testing.T, dir string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "toy", "toy.bin"))
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("the file has %d bytes, want %d: %v", len(got), len(body), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "toy", "toy.bin.part")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a part was left behind")
	}
}

// wantNoFile fails if anything has the final name.
func wantNoFile(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "toy", "toy.bin")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a bad file has the final name")
	}
}

func TestFetchGetsTheFileAndReportsProgress(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sets/toy.bin" {
			t.Errorf("%s was asked for", r.URL.Path)
		}
		whole(w, r)
	})
	dir := t.TempDir()
	opt := quick(dir)
	var last int64
	opt.Progress = func(file string, done, total int64) {
		if file != "toy.bin" || done < last || total != int64(len(body)) {
			t.Errorf("%s: %d of %d after %d", file, done, total, last)
		}
		last = done
	}
	got, err := oneFile(s.URL+"/sets/").fetch(t.Context(), opt)
	if err != nil || got != filepath.Join(dir, "toy") {
		t.Fatalf("%s, %v", got, err)
	}
	wantFile(t, dir)
	if last != int64(len(body)) {
		t.Errorf("progress ended at %d", last)
	}
	// A second call finds it and asks nobody.
	if _, err := oneFile(s.URL+"/sets/").fetch(t.Context(), opt); err != nil || len(s.ranges) != 1 {
		t.Errorf("%d requests, %v", len(s.ranges), err)
	}
}

func TestFetchContinuesWhereAConnectionBroke(t *testing.T) {
	const cut = 100_000
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			part(w, cut)
		}
		whole(w, r)
	})
	dir := t.TempDir()
	if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
	// What was sent before the break may come in part or in full.
	var from int
	if len(s.ranges) != 2 || s.ranges[0] != "" {
		t.Fatalf("ranges %q", s.ranges)
	}
	if _, err := fmt.Sscanf(s.ranges[1], "bytes=%d-", &from); err != nil || from < 1 || from > cut {
		t.Errorf("continued with %q", s.ranges[1])
	}
}

func TestFetchContinuesAPartOfAnEarlierCall(t *testing.T) {
	broken := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { part(w, 50_000) })
	dir := t.TempDir()
	opt := quick(dir)
	opt.Retries = -1
	_, err := oneFile(broken.URL+"/").fetch(t.Context(), opt)
	wantError(t, err, "data: fetch toy: toy.bin", broken.URL, "truncated", "tried 1 times")
	wantNoFile(t, dir)
	good := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { whole(w, r) })
	if _, err := oneFile(good.URL+"/").fetch(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
	if len(good.ranges) != 1 || !strings.HasPrefix(good.ranges[0], "bytes=") {
		t.Errorf("ranges %q", good.ranges)
	}
}

func TestFetchStartsAgainWhereTheServerIgnoresRanges(t *testing.T) {
	s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			part(w, 100_000)
		}
		w.Write(body)
	})
	dir := t.TempDir()
	if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
}

func TestFetchStartsAgainWhereTheServerAnswersAnotherRange(t *testing.T) {
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(body)-1, len(body)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body[7:])
			return
		}
		if n == 0 {
			part(w, 100_000)
		}
		whole(w, r)
	})
	dir := t.TempDir()
	if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
}

func TestFetchTakesACompletePartAndReplacesAStaleOne(t *testing.T) {
	for name, stale := range map[string][]byte{
		"complete": body,
		"too long": append(slices.Clone(body), 1, 2, 3),
		"other":    make([]byte, 1000),
	} {
		s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { whole(w, r) })
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "toy"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "toy", "toy.bin.part"), stale, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantFile(t, dir)
	}
}

func TestFetchGivesUpOnAStallAndTriesAgain(t *testing.T) {
	for _, sent := range []int{-1, 0, 100_000} { // before the header, after it, in the body
		s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 0 {
				whole(w, r)
				return
			}
			if sent >= 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				w.Write(body[:sent])
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done() // until the client hangs up
		})
		dir := t.TempDir()
		if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
			t.Errorf("stalled after %d: %v", sent, err)
		}
		wantFile(t, dir)
	}
}

func TestFetchNamesAStallThatDoesNotEnd(t *testing.T) {
	s := serve(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	opt := quick(t.TempDir())
	opt.Retries = 1
	_, err := oneFile(s.URL+"/").fetch(t.Context(), opt)
	wantError(t, err, s.URL+"/toy.bin", "stalled: nothing came for 100ms", "tried 2 times")
}

func TestFetchRefusesACorruptFile(t *testing.T) {
	corrupt := slices.Clone(body)
	corrupt[12345] ^= 4
	s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.Write(corrupt) })
	dir := t.TempDir()
	_, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir))
	sum := md5.Sum(corrupt)
	wantError(t, err, "toy.bin", s.URL, "corrupt", "md5", hex.EncodeToString(sum[:]), oneFile().files[0].md5)
	wantNoFile(t, dir)
	if len(s.ranges) != maxCorrupt {
		t.Errorf("%d downloads", len(s.ranges))
	}
}

func TestFetchRetriesAFileThatCameCorruptOnce(t *testing.T) {
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			w.Write([]byte("<html>please log in</html>"))
			return
		}
		whole(w, r)
	})
	dir := t.TempDir()
	if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
}

// A server that closes the connection without having announced a length looks
// complete; the hash tells.
func TestFetchFindsATruncationThatTheServerHides(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		buf.WriteString("HTTP/1.0 200 OK\r\n\r\n")
		buf.Write(body[:1000])
		buf.Flush()
	})
	dir := t.TempDir()
	_, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir))
	wantError(t, err, "corrupt")
	wantNoFile(t, dir)
}

func TestFetchReplacesABadFileAndKeepsAGoodOne(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { whole(w, r) })
	dir := writeFiles(t, map[string][]byte{"toy/toy.bin": body[:77]})
	if _, err := oneFile(s.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
}

func TestFetchTriesTheNextMirrorAndNamesAll(t *testing.T) {
	missing := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	busy := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	good := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) { whole(w, r) })
	dir := t.TempDir()
	if _, err := oneFile(missing.URL+"/", busy.URL+"/", good.URL+"/").fetch(t.Context(), quick(dir)); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir)
	// A missing file isn't asked for again, a busy server is.
	if len(missing.ranges) != 1 || len(busy.ranges) != 5 {
		t.Errorf("%d and %d requests", len(missing.ranges), len(busy.ranges))
	}
	_, err := oneFile(missing.URL+"/", busy.URL+"/").fetch(t.Context(), quick(t.TempDir()))
	wantError(t, err, missing.URL, "404 Not Found", busy.URL, "503 Service Unavailable")
	// --mirror is the only one then.
	opt := quick(t.TempDir())
	opt.Mirror = good.URL // the slash is added
	if _, err := oneFile(missing.URL+"/").fetch(t.Context(), opt); err != nil || len(missing.ranges) != 2 {
		t.Errorf("%d requests, %v", len(missing.ranges), err)
	}
}

func TestFetchStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Write(body[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	opt := FetchOptions{Dir: t.TempDir(), Progress: func(string, int64, int64) { cancel() }}
	_, err := oneFile(s.URL+"/", s.URL+"/again/").fetch(ctx, opt)
	if !errors.Is(err, context.Canceled) || len(s.ranges) != 1 {
		t.Errorf("%d requests, %v", len(s.ranges), err)
	}
	wantNoFile(t, opt.Dir)
}

func TestASecondFetchOfASetIsRefusedWhileOneRuns(t *testing.T) {
	dir := t.TempDir()
	var inner error
	s := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		_, inner = oneFile("http://unused.invalid/").fetch(r.Context(), quick(dir))
		whole(w, r)
	})
	opt := quick(dir)
	opt.IdleTimeout = time.Minute
	if _, err := oneFile(s.URL+"/").fetch(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	wantError(t, inner, "data: fetch toy: another fetch")
	wantFile(t, dir)
}

func TestFetchRefusesNonsense(t *testing.T) {
	_, err := Fetch(t.Context(), "kminst", FetchOptions{})
	wantError(t, err, `"kminst"`, "did you mean kmnist")
	for _, mirror := range []string{"ftp://host/", "just/a/path", "http://", "://"} {
		_, err := Fetch(t.Context(), "kmnist", FetchOptions{Mirror: mirror, Dir: t.TempDir()})
		wantError(t, err, "data: fetch kmnist", mirror, "http://")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = Fetch(t.Context(), "kmnist", FetchOptions{Dir: file})
	wantError(t, err, "data: fetch kmnist", file)
}

// The embedded files are compressed otherwise than the published ones; their
// content is the same, and that is what counts.
func TestFetchedMNISTIsKnownByItsContent(t *testing.T) {
	sub, err := fs.Sub(embeddedMNIST, "mnist")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.FileServerFS(sub))
	defer s.Close()
	opt := quick(t.TempDir())
	opt.Mirror, opt.IdleTimeout = s.URL, time.Minute
	dir, err := Fetch(t.Context(), "mnist", opt)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Open(dir)
	if err != nil || set.Train.N != 60000 {
		t.Errorf("fetched: %v", err)
	}
}

func TestEveryKnownSetIsFullyDescribed(t *testing.T) {
	for _, k := range known {
		if k.title == "" || k.license == "" || k.home == "" || k.train*k.test*k.channels*k.height*k.width == 0 || len(k.classNames) < 2 {
			t.Errorf("%s: something is missing", k.name)
		}
		for _, m := range k.mirrors {
			if !strings.HasPrefix(m, "http") || !strings.HasSuffix(m, "/") {
				t.Errorf("%s: mirror %s", k.name, m)
			}
		}
		if len(k.mirrors) == 0 || len(k.files) == 0 {
			t.Errorf("%s can't be fetched", k.name)
		}
		for _, f := range k.files {
			algorithm, sum := f.published(true)
			if b, err := hex.DecodeString(sum); err != nil || algorithm == "" || len(b) != map[string]int{
				algorithmMD5: md5.Size, algorithmSHA256: sha256.Size, algorithmContent: sha256.Size}[algorithm] {
				t.Errorf("%s: %s has %s %s", k.name, f.name, algorithm, sum)
			}
		}
	}
}
