package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"sgflow/engine/record"
)

// SetValue notes value under name for the whole sweep.
func (s *Store) SetValue(ctx context.Context, name, value string) error {
	return s.write(ctx, "write", func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO sweep (name, value) VALUES (?, ?)", name, value)
		return err
	})
}

// Add adds the runs that are not there yet, as queued, and gives all of them
// their place in the sweep. It returns how many are new.
func (s *Store) Add(ctx context.Context, runs []Run) (added int, err error) {
	err = s.write(ctx, "add runs to", func(tx *sql.Tx) error {
		insert, err := tx.Prepare(`INSERT INTO runs (id, place, config, status) VALUES (?, ?, ?, '` + string(Queued) + `')
			ON CONFLICT (id) DO NOTHING`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range runs {
			r := &runs[i]
			config, err := json.Marshal(r.Config)
			if err != nil {
				return fmt.Errorf("run %s: %w", r.ID, err)
			}
			result, err := insert.Exec(r.ID, r.Order, string(config))
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			added += int(n)
		}
		return nil
	})
	return added, err
}

// Requeue makes queued runs again of failed ones, with no attempts counted: all
// but those whose failure is final. It returns how many there were.
func (s *Store) Requeue(ctx context.Context) (n int, err error) {
	err = s.write(ctx, "requeue runs in", func(tx *sql.Tx) error {
		result, err := tx.Exec("UPDATE runs SET status = ?, attempts = 0 WHERE status = ? AND final = 0", Queued, Failed)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		n = int(rows)
		return err
	})
	return n, err
}

// Finish stores the result of a run. It reports whether it is the first: one
// of a run that is done is left out, and one of a run that the store does not
// know is an error.
func (s *Store) Finish(ctx context.Context, r *Result) (first bool, err error) {
	summary, err := json.Marshal(r.Summary)
	if err != nil {
		return false, fmt.Errorf("store: run %s: %w", r.ID, err)
	}
	err = s.write(ctx, "write a result to", func(tx *sql.Tx) error {
		first, err = update(tx, r.ID, `UPDATE runs SET status = ?, attempts = attempts+1, error = '', final = 0, worker = ?, started = ?, finished = ?, summary = ?
			WHERE id = ? AND status <> ?`, Done, r.Worker, unix(r.Started), unix(r.Finished), string(summary), r.ID, Done)
		if err != nil || !first {
			return err
		}
		return insertDetails(tx, r)
	})
	return first && err == nil, err
}

// Fail stores a failed attempt at a run, unless the run is done. It returns how
// many attempts there were.
func (s *Store) Fail(ctx context.Context, f *Failure) (attempts int, err error) {
	status := Queued
	if f.GiveUp {
		status = Failed
	}
	err = s.write(ctx, "write a failure to", func(tx *sql.Tx) error {
		_, err := update(tx, f.ID, `UPDATE runs SET status = ?, attempts = attempts+1, error = ?, final = ?, worker = ?, started = ?, finished = ?
			WHERE id = ? AND status <> ?`, status, f.Error, f.Final, f.Worker, unix(f.Started), unix(f.Finished), f.ID, Done)
		if err != nil {
			return err
		}
		return tx.QueryRow("SELECT attempts FROM runs WHERE id = ?", f.ID).Scan(&attempts)
	})
	return attempts, err
}

// update executes a statement that changes the row of a run, and reports
// whether it did. A run that is not there is an error.
func update(tx *sql.Tx, id, statement string, args ...any) (changed bool, err error) {
	result, err := tx.Exec(statement, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if err != nil || n > 0 {
		return n > 0, err
	}
	err = tx.QueryRow("SELECT 1 FROM runs WHERE id = ?", id).Scan(new(int))
	if err == sql.ErrNoRows {
		err = fmt.Errorf("the sweep has no run %.40q", id)
	}
	return false, err
}

// insertDetails adds windows, epochs and environment of a result.
func insertDetails(tx *sql.Tx, r *Result) error {
	for _, w := range r.Windows {
		for place, m := range w.Means {
			if _, err := tx.Exec("INSERT INTO steps (run, part, first, last, place, name, mean, sd, n) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
				r.ID, w.Part, w.First, w.Last, place, m.Name, m.Mean, m.SD, m.N); err != nil {
				return err
			}
		}
	}
	for _, e := range r.Epochs {
		if _, err := tx.Exec(`INSERT INTO epochs (run, epoch, step, train_loss, train_accuracy, test_loss, test_accuracy, seconds)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, r.ID, e.Epoch, e.Step,
			nullable(e.TrainLoss), nullable(e.TrainAccuracy), nullable(e.TestLoss), nullable(e.TestAccuracy), e.Seconds); err != nil {
			return err
		}
	}
	for name, value := range r.Environment {
		if _, err := tx.Exec("INSERT INTO environment (run, name, value) VALUES (?, ?, ?)", r.ID, name, value); err != nil {
			return err
		}
	}
	return nil
}

// nullable is a number as SQL has it.
func nullable(o record.Opt) any {
	if x, ok := o.Get(); ok {
		return x
	}
	return nil
}
