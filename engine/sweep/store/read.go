package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"sgflow/engine/record"
	"sgflow/engine/train"
)

// Value returns what is noted of the whole sweep under name, "" where nothing
// is.
func (s *Store) Value(ctx context.Context, name string) (string, error) {
	var value string
	err := s.db.QueryRowContext(ctx, "SELECT value FROM sweep WHERE name = ?", name).Scan(&value)
	if err == sql.ErrNoRows {
		return "", nil
	}
	return value, s.wrap("read", err)
}

const runColumns = "id, place, config, status, attempts, error, final, worker, started, finished, summary"

// Runs returns all runs in the order of the sweep.
func (s *Store) Runs(ctx context.Context) ([]Run, error) {
	return list(ctx, s, scanRun, "SELECT "+runColumns+" FROM runs ORDER BY place, id")
}

// Run returns the run of that id and whether there is one.
func (s *Store) Run(ctx context.Context, id string) (Run, bool, error) {
	runs, err := list(ctx, s, scanRun, "SELECT "+runColumns+" FROM runs WHERE id = ?", id)
	if err != nil || len(runs) == 0 {
		return Run{}, false, err
	}
	return runs[0], true, nil
}

func scanRun(rows *sql.Rows) (r Run, err error) {
	var config, summary string
	var started, finished int64
	if err := rows.Scan(&r.ID, &r.Order, &config, &r.Status, &r.Attempts, &r.Error, &r.Final, &r.Worker, &started, &finished, &summary); err != nil {
		return r, err
	}
	r.Started, r.Finished = moment(started), moment(finished)
	r.Config = train.Config{}
	if err := json.Unmarshal([]byte(config), &r.Config); err != nil {
		return r, fmt.Errorf("the configuration of run %s: %w", r.ID, err)
	}
	if summary != "" {
		r.Summary = &record.Summary{}
		if err := json.Unmarshal([]byte(summary), r.Summary); err != nil {
			return r, fmt.Errorf("the summary of run %s: %w", r.ID, err)
		}
	}
	return r, nil
}

// Counts returns how many runs are in each state.
func (s *Store) Counts(ctx context.Context) (map[Status]int, error) {
	type count struct {
		status Status
		n      int
	}
	counts, err := list(ctx, s, func(rows *sql.Rows) (c count, err error) {
		return c, rows.Scan(&c.status, &c.n)
	}, "SELECT status, count(*) FROM runs GROUP BY status")
	table := map[Status]int{}
	for _, c := range counts {
		table[c.status] = c.n
	}
	return table, err
}

// Windows returns the means over the parts of the run id, in the order of
// Parts; none where the run is not done.
func (s *Store) Windows(ctx context.Context, id string) ([]Window, error) {
	all, err := s.windows(ctx, "WHERE run = ?", id)
	return all[id], err
}

// AllWindows returns the means over the parts of all runs that are done, by the
// runs' ids: one query where Windows would be many.
func (s *Store) AllWindows(ctx context.Context) (map[string][]Window, error) {
	return s.windows(ctx, "")
}

// windows reads rows of the table steps and puts those of a window together.
func (s *Store) windows(ctx context.Context, where string, args ...any) (map[string][]Window, error) {
	type row struct {
		run string
		Window
		Mean
	}
	rows, err := list(ctx, s, func(rows *sql.Rows) (r row, err error) {
		return r, rows.Scan(&r.run, &r.Part, &r.First, &r.Last, &r.Name, &r.Mean.Mean, &r.SD, &r.N)
	}, "SELECT run, part, first, last, name, mean, sd, n FROM steps "+where+" ORDER BY run, part, place", args...)
	if err != nil {
		return nil, err
	}
	all := map[string][]Window{}
	// SQLite sorts the parts by name; the caller gets them in time.
	for _, part := range Parts() {
		for i := 0; i < len(rows); {
			r, end := &rows[i], i
			for end < len(rows) && rows[end].run == r.run && rows[end].Part == r.Part {
				r.Means = append(r.Means, rows[end].Mean)
				end++
			}
			if r.Part == part {
				all[r.run] = append(all[r.run], r.Window)
			}
			r.Means, i = nil, end
		}
	}
	return all, nil
}

// Epochs returns the epochs of the run id.
func (s *Store) Epochs(ctx context.Context, id string) ([]record.Epoch, error) {
	return list(ctx, s, func(rows *sql.Rows) (e record.Epoch, err error) {
		var numbers [4]sql.NullFloat64
		err = rows.Scan(&e.Epoch, &e.Step, &numbers[0], &numbers[1], &numbers[2], &numbers[3], &e.Seconds)
		for i, field := range []*record.Opt{&e.TrainLoss, &e.TrainAccuracy, &e.TestLoss, &e.TestAccuracy} {
			if numbers[i].Valid {
				*field = record.Some(numbers[i].Float64)
			}
		}
		return e, err
	}, "SELECT epoch, step, train_loss, train_accuracy, test_loss, test_accuracy, seconds FROM epochs WHERE run = ? ORDER BY epoch", id)
}

// Environment returns what the run id ran on, by name: "device", "worker",
// "version.<part>" as in run.json, "data.<file>" with the SHA-256 of each data
// file.
func (s *Store) Environment(ctx context.Context, id string) (map[string]string, error) {
	type pair struct{ name, value string }
	pairs, err := list(ctx, s, func(rows *sql.Rows) (p pair, err error) {
		return p, rows.Scan(&p.name, &p.value)
	}, "SELECT name, value FROM environment WHERE run = ?", id)
	table := map[string]string{}
	for _, p := range pairs {
		table[p.name] = p.value
	}
	return table, err
}

// list returns the rows of a query.
func list[T any](ctx context.Context, s *Store, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.wrap("read", err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, s.wrap("read", err)
		}
		all = append(all, item)
	}
	return all, s.wrap("read", rows.Err())
}
