package reproduce

// JSON is the result as `sgflow reproduce --json` prints it, a line an experiment.
type JSON struct {
	Name     string    `json:"name"`
	Claim    string    `json:"claim"`
	Source   string    `json:"source"`
	Paper    string    `json:"paper"`
	Setting  string    `json:"setting"`
	Differs  string    `json:"differs"`
	Verdict  Verdict   `json:"verdict"`
	Why      string    `json:"why"`
	Measured []Finding `json:"measured"`
	Quick    bool      `json:"quick"`
	Seeds    []uint64  `json:"seeds"`
	Seconds  float64   `json:"seconds"`
	Page     string    `json:"page,omitempty"`
}

// JSON returns the result for programs. page is where its page lies.
func (r *Result) JSON(page string) JSON {
	e, o := r.Experiment, r.Outcome
	return JSON{
		Name: e.Name, Claim: e.Claim, Source: e.Source, Paper: e.Paper, Setting: e.Setting, Differs: e.Differs,
		Verdict: o.Verdict, Why: o.Why, Measured: o.Measured, Quick: r.Quick, Seeds: r.Seeds, Seconds: r.Seconds, Page: page,
	}
}

// ListJSON is an experiment as `sgflow reproduce list --json` prints it.
type ListJSON struct {
	Name   string `json:"name"`
	Claim  string `json:"claim"`
	Source string `json:"source"`
}

// ListJSON returns the experiment for programs.
func (e *Experiment) ListJSON() ListJSON { return ListJSON{e.Name, e.Claim, e.Source} }
