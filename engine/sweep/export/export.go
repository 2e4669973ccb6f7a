// Package export writes the runs of a sweep as one table, for other programs:
// a row a run, with its settings, how it ended, and the means over its windows
// (see package store).
package export

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"

	"sgflow/engine/record"
	"sgflow/engine/sweep/store"
)

// Table is a table whose columns have one type each.
type Table struct {
	Columns []Column
	// Rows hold a value for every column: a string, a bool, an int64 or a
	// float64, or nil where there is none.
	Rows [][]any
}

// Column is a column: its name and an example of its type.
type Column struct {
	Name string
	Zero any
}

// Read makes the table of a store's runs, in the order of the sweep.
func Read(ctx context.Context, s *store.Store) (*Table, error) {
	runs, err := s.Runs(ctx)
	if err != nil {
		return nil, err
	}
	windows, err := s.AllWindows(ctx)
	if err != nil {
		return nil, err
	}
	t := &Table{}
	at := map[string]int{} // of columns
	for i := range runs {
		r := &runs[i]
		t.Rows = append(t.Rows, make([]any, len(t.Columns)))
		set := func(name string, value, zero any) {
			k, ok := at[name]
			if !ok {
				k = len(t.Columns)
				at[name] = k
				t.Columns = append(t.Columns, Column{name, zero})
			}
			row := &t.Rows[i]
			for len(*row) <= k {
				*row = append(*row, nil)
			}
			(*row)[k] = value
		}
		fill(set, r, windows[r.ID])
	}
	for i := range t.Rows {
		for len(t.Rows[i]) < len(t.Columns) {
			t.Rows[i] = append(t.Rows[i], nil)
		}
	}
	return t, nil
}

// fill sets the columns of a run.
func fill(set func(name string, value, zero any), r *store.Run, windows []store.Window) {
	set("run", r.ID, "")
	set("status", string(r.Status), "")
	set("attempts", int64(r.Attempts), int64(0))
	set("error", r.Error, "")
	set("worker", r.Worker, "")
	set("started", stamp(r.Started), "")
	set("finished", stamp(r.Finished), "")
	config := reflect.ValueOf(&r.Config).Elem()
	for _, f := range reflect.VisibleFields(config.Type()) {
		if name := f.Tag.Get("json"); name != "" {
			value := plain(config.FieldByIndex(f.Index))
			set(name, value, reflect.Zero(reflect.TypeOf(value)).Interface())
		}
	}
	done := r.Summary != nil
	var s record.Summary
	if done {
		s = *r.Summary
	}
	integer := func(name string, x int) {
		var value any
		if done {
			value = int64(x)
		}
		set(name, value, int64(0))
	}
	number := func(name string, o record.Opt) {
		var value any
		if x, ok := o.Get(); ok {
			value = x
		}
		set(name, value, 0.0)
	}
	number("temperature", r.Config.Temperature())
	integer("steps_done", s.Steps)
	integer("epochs_done", s.Epochs)
	integer("params", s.Params)
	seconds := record.Opt{}
	if done {
		seconds = record.Some(s.Seconds)
	}
	number("seconds", seconds)
	number("train_loss", s.TrainLoss)
	number("train_accuracy", s.TrainAccuracy)
	number("test_loss", s.TestLoss)
	number("test_accuracy", s.TestAccuracy)
	number("ema_test_loss", s.EMATestLoss)
	number("ema_test_accuracy", s.EMATestAccuracy)
	number("swa_test_loss", s.SWATestLoss)
	number("swa_test_accuracy", s.SWATestAccuracy)
	var reached any
	if s.Reached != nil {
		reached = *s.Reached
	}
	set("reached", reached, false)
	for _, w := range windows {
		for _, m := range w.Means {
			set(m.Name+"."+string(w.Part), m.Mean, 0.0)
			set(m.Name+"."+string(w.Part)+".sd", m.SD, 0.0)
		}
	}
}

// stamp prints a time, nil for none.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// plain returns a setting as a value of a table.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int:
		return v.Int()
	case reflect.Float64:
		return v.Float()
	case reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10) // a seed may have 64 bits
	}
	return v.String()
}

// CSV writes the table with a line of names first (RFC 4180); what is absent is
// empty.
func (t *Table) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	line := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		line[i] = column.Name
	}
	if err := c.Write(line); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for _, row := range t.Rows {
		for i, value := range row {
			switch x := value.(type) {
			case nil:
				line[i] = ""
			case float64:
				line[i] = strconv.FormatFloat(x, 'g', -1, 64)
			default:
				line[i] = fmt.Sprint(x)
			}
		}
		if err := c.Write(line); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// Parquet writes the table as a Parquet file, every column optional; they are
// in the order of their names.
func (t *Table) Parquet(w io.Writer) error {
	group := parquet.Group{}
	for _, c := range t.Columns {
		var node parquet.Node
		switch c.Zero.(type) {
		case string:
			node = parquet.String()
		case bool:
			node = parquet.Leaf(parquet.BooleanType)
		case int64:
			node = parquet.Int(64)
		default:
			node = parquet.Leaf(parquet.DoubleType)
		}
		group[c.Name] = parquet.Compressed(parquet.Optional(node), &parquet.Zstd)
	}
	schema := parquet.NewSchema("runs", group)
	place := map[string]int{} // of columns in the schema
	for i, path := range schema.Columns() {
		place[path[0]] = i
	}
	out := parquet.NewWriter(w, schema)
	for _, row := range t.Rows {
		values := make(parquet.Row, len(row))
		for i, value := range row {
			at := place[t.Columns[i].Name]
			if value == nil {
				values[at] = parquet.NullValue().Level(0, 0, at)
			} else {
				values[at] = parquet.ValueOf(value).Level(0, 1, at)
			}
		}
		if _, err := out.WriteRows([]parquet.Row{values}); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
