package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sgflow/engine/train"
)

const sweepA = "00000000000000aa"

var build = NewBuild("test 1")

// newServer starts a server that ends with the test.
func newServer(t testing.TB) *Server {
	t.Helper()
	s, err := Serve(filepath.Join(t.TempDir(), "queue"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// connect connects as the given build, until the test ends.
func connect(t testing.TB, address string, b Build) *Queue {
	t.Helper()
	q, err := Connect(context.Background(), Options{URL: address, Build: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// opened is a connection with the ways of sweepA.
func opened(t testing.TB, address string, lease time.Duration) *Queue {
	t.Helper()
	q := connect(t, address, build)
	if err := q.Open(context.Background(), sweepA, lease); err != nil {
		t.Fatal(err)
	}
	return q
}

// jobs are n jobs.
func jobs(n int) []Job {
	list := make([]Job, n)
	for i := range list {
		list[i] = Job{Sweep: sweepA, Run: fmt.Sprintf("%016x", i), Config: train.Default(), Hashes: map[string]string{"x": "y"}, MostDeliveries: 3}
	}
	return list
}

func mustSubmit(t testing.TB, q *Queue, list []Job) {
	t.Helper()
	if err := q.Submit(context.Background(), list); err != nil {
		t.Fatal(err)
	}
}

// mustTake takes a run within a minute.
func mustTake(t testing.TB, q *Queue) *Task {
	t.Helper()
	task, err := q.Take(context.Background(), time.Minute)
	if err != nil || task == nil {
		t.Fatal(task, err)
	}
	return task
}

// wantEmpty fails the test unless there is nothing to take.
func wantEmpty(t testing.TB, q *Queue) {
	t.Helper()
	if task, err := q.Take(context.Background(), 300*time.Millisecond); err != nil || task != nil {
		t.Errorf("there is %+v, %v", task, err)
	}
}

// outcomes gathers what is reported.
func outcomes(t testing.TB, q *Queue) (list []Outcome) {
	t.Helper()
	if err := q.Outcomes(context.Background(), sweepA, false, func(o *Outcome) error {
		list = append(list, *o)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func mustEnd(t testing.TB, q *Queue, task *Task, o Outcome) {
	t.Helper()
	if err := errors.Join(q.Report(context.Background(), task, &o), task.Done(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func TestRunsAreTakenOnceAndInOrder(t *testing.T) {
	q := opened(t, newServer(t).URL(), time.Minute)
	mustSubmit(t, q, jobs(3))
	mustSubmit(t, q, jobs(3)) // they are there
	for i := range 3 {
		task := mustTake(t, q)
		if task.Run != jobs(3)[i].Run || task.Deliveries != 1 || task.Lease != time.Minute || task.Config != train.Default() {
			t.Errorf("took %+v", task)
		}
		mustSubmit(t, q, jobs(3)) // it is under way, or done
		mustEnd(t, q, task, Outcome{Run: task.Run, Worker: "w"})
	}
	// Submitting after the end is the sweep's to decide; here it put back what
	// was done before the last of them.
	if err := q.Clear(context.Background(), sweepA); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, q)
	if got := outcomes(t, q); len(got) != 3 || got[0].Run != jobs(1)[0].Run {
		t.Errorf("outcomes %+v", got)
	}
	if got := outcomes(t, q); len(got) != 0 {
		t.Errorf("outcomes came again: %+v", got)
	}
}

func TestSilentWorkerLosesItsRunAndABeatingOneKeepsIt(t *testing.T) {
	s := newServer(t)
	first, second := opened(t, s.URL(), time.Second), connect(t, s.URL(), build)
	mustSubmit(t, first, jobs(1))
	task := mustTake(t, first)
	for range 8 { // two seconds, twice the lease
		if again, err := second.Take(context.Background(), 250*time.Millisecond); err != nil || again != nil {
			t.Fatalf("a run that is under way was handed out: %+v, %v", again, err)
		}
		if err := task.Beat(); err != nil {
			t.Fatal(err)
		}
	}
	again := mustTake(t, second) // the first is silent now
	if again.Run != task.Run || again.Deliveries != 2 {
		t.Errorf("took %+v", again)
	}
	// Both report: it is for the store to count one.
	mustEnd(t, first, task, Outcome{Run: task.Run, Worker: "1"})
	mustEnd(t, second, again, Outcome{Run: again.Run, Worker: "2"})
	if got := outcomes(t, first); len(got) != 2 {
		t.Errorf("%d outcomes", len(got))
	}
	wantEmpty(t, second)
}

func TestReleasedRunIsTakenAgainAtOnce(t *testing.T) {
	q := opened(t, newServer(t).URL(), time.Hour)
	mustSubmit(t, q, jobs(1))
	if err := mustTake(t, q).Release(); err != nil {
		t.Fatal(err)
	}
	if task := mustTake(t, q); task.Deliveries != 2 {
		t.Errorf("%d deliveries", task.Deliveries)
	}
}

func TestUnstoredOutcomeComesAgain(t *testing.T) {
	q := opened(t, newServer(t).URL(), time.Hour)
	mustSubmit(t, q, jobs(1))
	task := mustTake(t, q)
	mustEnd(t, q, task, Outcome{Run: task.Run})
	full := errors.New("no space left")
	if err := q.Outcomes(context.Background(), sweepA, false, func(*Outcome) error { return full }); !errors.Is(err, full) {
		t.Fatal(err)
	}
	if got := outcomes(t, q); len(got) != 1 {
		t.Errorf("%d outcomes", len(got))
	}
}

// A server that was stopped has what it had when it is back, and so have those
// who were connected.
func TestServerThatIsStoppedAndStarted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	s, err := Serve(dir)
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	q := opened(t, s.URL(), time.Second)
	mustSubmit(t, q, jobs(2))
	task := mustTake(t, q)
	s.Close()
	back := make(chan *Server)
	go func() {
		// The worker finishes while nobody listens.
		for q.nc.IsConnected() {
			time.Sleep(time.Millisecond)
		}
		again, err := serve(dir, port, address.User.Username())
		if err != nil {
			t.Error(err)
		}
		back <- again
	}()
	path := filepath.Join(t.TempDir(), "steps.jsonl")
	if err := os.WriteFile(path, []byte("log"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := q.Put(context.Background(), task, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Report(context.Background(), task, &Outcome{Run: task.Run, Files: []File{f}}); err != nil {
		t.Fatal(err)
	}
	if again := <-back; again != nil {
		defer again.Close()
	}
	_ = task.Done(context.Background()) // the lease may be over: then the run comes again
	if got := outcomes(t, q); len(got) != 1 || got[0].Run != task.Run {
		t.Errorf("outcomes %+v", got)
	}
	if err := q.Get(context.Background(), f, filepath.Join(t.TempDir(), "got")); err != nil {
		t.Error(err)
	}
	left := map[string]bool{}
	for range 2 {
		if task, err := q.Take(context.Background(), 3*time.Second); err == nil && task != nil {
			left[task.Run] = true
		}
	}
	if !left[jobs(2)[1].Run] {
		t.Errorf("the run that nobody had taken is lost: %v", left)
	}
}

func TestWorkerOfAnotherBuildIsRefused(t *testing.T) {
	s := newServer(t)
	q := opened(t, s.URL(), time.Minute)
	other := connect(t, s.URL(), NewBuild("test 2"))
	wantEmpty(t, other) // no runs at all: it waits
	mustSubmit(t, q, jobs(1))
	_, err := other.Take(context.Background(), time.Minute)
	if !errors.Is(err, ErrBuild) || !strings.Contains(err.Error(), `they need "test 1", this is "test 2"`) {
		t.Errorf("error %v", err)
	}
	if strings.Contains(err.Error(), s.token) {
		t.Errorf("the error shows the token: %v", err)
	}
}

func TestServerIsForWhoHasTheTokenOnThisMachine(t *testing.T) {
	s := newServer(t)
	address, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(address.Hostname()); !ip.IsLoopback() {
		t.Errorf("the server listens on %v", ip)
	}
	if len(address.User.Username()) < 26 { // 128 bits
		t.Error("the token is short")
	}
	for _, user := range []*url.Userinfo{nil, url.User("guess")} {
		address.User = user
		if _, err := Connect(context.Background(), Options{URL: address.String(), Build: build}); !errors.Is(err, ErrServer) {
			t.Errorf("with user %v: %v", user, err)
		}
	}
}

func TestMessagesOfOthersAreThrownAway(t *testing.T) {
	s := newServer(t)
	q := opened(t, s.URL(), time.Minute)
	var warnings []string
	q.o.Warn = func(text string) { warnings = append(warnings, text) }
	prefix := runsSubject + build.Key + "." + sweepA + "."
	for i, text := range []string{
		"no json", "{}", `{"sweep":"` + sweepA + `","run":"../../../../etc/x"}`, `{"exec":"rm"}`,
		`{"sweep":"` + sweepA + `","run":"0000000000000001","hashes":null,"most_deliveries":1,"config":{"model":"mlp","shell":"rm"}}`,
		`{"sweep":"` + sweepA + `","run":"0000000000000001","hashes":null,"most_deliveries":1,"config":{},"data":[{"name":"../x","object":"o","size":1,"sha256":"` + strings.Repeat("0", 64) + `"}]}`,
	} {
		if _, err := q.js.Publish(context.Background(), fmt.Sprint(prefix, "evil", i, ".0"), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	wantEmpty(t, q)
	if len(warnings) != 6 {
		t.Errorf("%d warnings: %q", len(warnings), warnings)
	}
	if _, err := q.js.Publish(context.Background(), prefix+"big.0", make([]byte, maxJob+1)); err == nil {
		t.Error("a message beyond all bounds was taken")
	}
	for _, text := range []string{"x", `{"run":"../x"}`, `{"run":"0000000000000001","files":[{"name":"../run.json"}]}`} {
		if _, err := q.js.Publish(context.Background(), resultsSubject+sweepA, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := outcomes(t, q); len(got) != 0 {
		t.Errorf("outcomes %+v", got)
	}
}

func TestFileThatChangedOnItsWayIsRefused(t *testing.T) {
	q := opened(t, newServer(t).URL(), time.Minute)
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("what it was"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := q.Share(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	got := filepath.Join(t.TempDir(), "got")
	if err := q.Get(context.Background(), f, got); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(got); err != nil || string(text) != "what it was" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.WriteFile(path, []byte("another one"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := q.put(context.Background(), f.Object, path); err != nil {
		t.Fatal(err)
	}
	refused := filepath.Join(t.TempDir(), "refused")
	if err := q.Get(context.Background(), f, refused); !errors.Is(err, ErrFile) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(refused); err == nil {
		t.Error("the file is there")
	}
	f.Object = "nothing"
	if err := q.Get(context.Background(), f, refused); !errors.Is(err, ErrFile) {
		t.Errorf("error %v", err)
	}
}

func TestTenThousandRunsAreQueuedInFiveSeconds(t *testing.T) {
	q := opened(t, newServer(t).URL(), time.Minute)
	list := jobs(10_000)
	began := time.Now()
	mustSubmit(t, q, list)
	spent := time.Since(began)
	t.Logf("%v", spent)
	if spent > 5*time.Second {
		t.Errorf("it took %v", spent)
	}
	stream, err := q.js.Stream(context.Background(), runsStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 10_000 {
		t.Errorf("%d runs are queued", n)
	}
}

// A cluster's server lets in by user and password, as by token.
func TestUserAndPassword(t *testing.T) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: "ann", Password: "secret", JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("no server")
	}
	host := s.Addr().String()
	q := opened(t, "nats://ann:secret@"+host, time.Minute)
	mustSubmit(t, q, jobs(1))
	if mustTake(t, q).Run != jobs(1)[0].Run {
		t.Error("another run")
	}
	if _, err := Connect(context.Background(), Options{URL: "nats://ann:guess@" + host, Build: build}); !errors.Is(err, ErrServer) || strings.Contains(err.Error(), "guess") {
		t.Errorf("error %v", err)
	}
	if _, err := Connect(context.Background(), Options{URL: "nats://" + host, Creds: "missing.creds", Build: build}); err == nil {
		t.Error("a missing file was taken")
	}
}
