package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// downloader gets files over HTTP and puts up with servers that stall, break
// off, are busy or don't know ranges.
type downloader struct {
	client   *http.Client
	idle     time.Duration
	retries  int
	backoff  time.Duration
	progress func(done, total int64)
}

// maxCorrupt is how many complete but wrong downloads of a file are made before
// the mirror is given up: the first may have continued a stale part.
const maxCorrupt = 2

// unknownTotal is the length of a file whose server doesn't say.
const unknownTotal = -1

// permanentError is one that asking again won't change.
type permanentError struct{ error }

// download gets url into final. The bytes gather in final+".part", which
// outlives a failure and is continued; when they are complete, pass check and
// are on the disk, the part is renamed.
func (d *downloader) download(ctx context.Context, url, final string, check func(part string) error) error {
	part := final + ".part"
	wait := d.backoff
	for attempt, corrupt := 0, 0; ; attempt++ {
		err := d.transfer(ctx, url, part)
		if err == nil {
			if err = check(part); err == nil {
				return os.Rename(part, final)
			}
			if removeErr := os.Remove(part); removeErr != nil {
				return removeErr
			}
			if corrupt++; corrupt == maxCorrupt {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if permanent := (permanentError{}); errors.As(err, &permanent) {
			return permanent.error
		}
		if attempt == d.retries {
			return fmt.Errorf("%w (tried %d times)", err, attempt+1)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// transfer makes one request for what is missing of the part and appends it.
func (d *downloader) transfer(ctx context.Context, url, part string) (err error) {
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return permanentError{err}
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = permanentError{closeErr}
		}
	}()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return permanentError{err}
	}

	stalled := fmt.Errorf("stalled: nothing came for %v", d.idle)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(d.idle, func() { cancel(stalled) })
	defer timer.Stop()
	why := func(err error) error { // the stall, or else what the connection says
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if request := (*neturl.Error)(nil); errors.As(err, &request) {
			return request.Err // without the address, which the caller names
		}
		return err
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return permanentError{err}
	}
	// The bytes as they are stored: the client would else undo a compression
	// that belongs to the file.
	req.Header.Set("Accept-Encoding", "identity")
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return why(err)
	}
	defer resp.Body.Close()

	start, total := contentRange(resp)
	switch {
	case resp.StatusCode == http.StatusOK:
		// The whole file, whatever was asked for.
		have, total = 0, resp.ContentLength
	case resp.StatusCode == http.StatusPartialContent && start == have:
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && total == have:
		return nil // the part was complete
	case resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		// The part doesn't belong to this file: begin anew.
		if err := f.Truncate(0); err != nil {
			return permanentError{err}
		}
		return fmt.Errorf("the server can't continue at byte %d (%s)", have, resp.Status)
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return errors.New(resp.Status)
	default:
		return permanentError{errors.New(resp.Status)}
	}
	if err := f.Truncate(have); err != nil {
		return permanentError{err}
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return permanentError{err}
	}

	buf := make([]byte, 1<<16)
	for {
		timer.Reset(d.idle)
		n, readErr := resp.Body.Read(buf)
		timer.Stop() // the disk may take its time
		if _, err := f.Write(buf[:n]); err != nil {
			return permanentError{err}
		}
		have += int64(n)
		if n > 0 {
			d.progress(have, total)
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			if errors.Is(readErr, io.ErrUnexpectedEOF) {
				readErr = fmt.Errorf("truncated: the connection ended after %d bytes", have)
			}
			return why(readErr)
		}
	}
	if total != unknownTotal && have != total {
		return fmt.Errorf("truncated: %d bytes came of %d", have, total)
	}
	if err := f.Sync(); err != nil {
		return permanentError{err}
	}
	return nil
}

// contentRange returns where a partial answer begins and how long the whole
// file is, both from "Content-Range: bytes 100-199/200" (or "bytes */200", start
// −1); −1 for what isn't said.
func contentRange(resp *http.Response) (start, total int64) {
	start, total = -1, unknownTotal
	ranges, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	if !ok {
		return start, total
	}
	span, whole, _ := strings.Cut(ranges, "/")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil {
		total = n
	}
	from, _, _ := strings.Cut(span, "-")
	if n, err := strconv.ParseInt(from, 10, 64); err == nil {
		start = n
	}
	return start, total
}
