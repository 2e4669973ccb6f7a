package landscape

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/record"
)

// Result is a slice of the loss surface with what it is of: landscape.json.
type Result struct {
	Config     Config      `json:"config"`
	Runs       []string    `json:"runs,omitempty"` // folders of the paths
	Params     int         `json:"params"`
	Samples    int         `json:"samples"`
	About      string      `json:"about"` // the point that the slice goes through
	Center     Center      `json:"center"`
	Directions []Direction `json:"directions"`
	// Cosine is that of the angle between the two directions.
	Cosine record.Opt `json:"cosine,omitzero"`
	// Shares are those of all principal components, largest first.
	Shares []float64 `json:"shares,omitempty"`
	// Share is that of the slice: of the paths' squared distances from its point, what
	// is in the directions that are drawn.
	Share record.Opt `json:"share,omitzero"`
	Paths []Path     `json:"paths,omitempty"`
	// Apart are the distances between the ends of the paths.
	Apart []Apart `json:"apart,omitempty"`
	Grid
	Answer  string  `json:"answer"`
	Seconds float64 `json:"seconds"`
	Out     string  `json:"out"`
}

// Center is the point that the slice goes through.
type Center struct {
	Loss     float64    `json:"loss"`
	Accuracy record.Opt `json:"accuracy,omitzero"`
}

// Path is a path over the surface.
type Path struct {
	Name  string `json:"name"`
	Short string `json:"short"`
	// Length is the sum of the distances between its stored points, a lower bound of
	// the way; Displacement the distance from its first to its last.
	Length       float64     `json:"length"`
	Displacement float64     `json:"displacement"`
	Points       []PathPoint `json:"points"`
}

// PathPoint is a stored point of a path.
type PathPoint struct {
	Step int     `json:"step"`
	Time float64 `json:"time"` // t = Σ η
	Place
	// Loss and Accuracy are those at the point itself, not where it falls on the
	// slice; absent where the loss is not finite.
	Loss     record.Opt `json:"loss,omitzero"`
	Accuracy record.Opt `json:"accuracy,omitzero"`
}

// Apart is the distance between the ends of two paths.
type Apart struct {
	A        string  `json:"a"`
	B        string  `json:"b"`
	Distance float64 `json:"distance"`
}

// place finds where the paths are on the slice, and how long they are.
func place[T engine.Float](ctx context.Context, r *Result, s *Slice[T], paths []path, progress Progress) error {
	if len(paths) == 0 {
		return nil
	}
	places, err := Project(ctx, stored(paths), s, func(done, total int) { progress("places of the paths", done, total) })
	if err != nil {
		return err
	}
	var off, all float64
	for i, p := range paths {
		q := Path{Name: p.name, Short: p.short}
		for k, at := range p.Points {
			q.Points = append(q.Points, PathPoint{Step: at.Step, Time: at.Time, Place: places[i][k]})
			off += places[i][k].Off * places[i][k].Off
			all += places[i][k].Distance * places[i][k].Distance
		}
		if q.Length, q.Displacement, err = walk(p.Trajectory); err != nil {
			return err
		}
		for _, other := range paths[:i] {
			d, err := between(other.Trajectory, p.Trajectory, len(other.Points)-1, len(p.Points)-1)
			if err != nil {
				return err
			}
			r.Apart = append(r.Apart, Apart{other.short, p.short, d})
		}
		r.Paths = append(r.Paths, q)
	}
	if all > 0 {
		r.Share = record.Some(1 - off/all)
	}
	return nil
}

// lossesOf evaluates loss and accuracy at the points of the paths.
func lossesOf[T engine.Float](ctx context.Context, r *Result, o *measure.Objective[T], indices []int32, paths []path, progress Progress) error {
	done, total := 0, 0
	for _, p := range paths {
		total += len(p.Points)
	}
	for i, p := range paths {
		for k := range p.Points {
			if err := ctx.Err(); err != nil {
				return err
			}
			progress("loss along the paths", done, total)
			done++
			o.Session().Wait()
			if err := readPoint(o.Session().Params(), p.Trajectory, k); err != nil {
				return err
			}
			loss, correct := o.Forward(indices)
			if err := o.Session().Err(); err != nil {
				return err
			}
			q := &r.Paths[i].Points[k]
			if !math.IsNaN(loss) && !math.IsInf(loss, 0) {
				q.Loss = record.Some(loss)
				if correct >= 0 {
					q.Accuracy = record.Some(float64(correct) / float64(len(indices)))
				}
			}
		}
	}
	return nil
}

// roomShare is the margin that a slice has around paths, in their extent.
const roomShare = 0.18

// axes returns the lines of the grid.
func (r *Result) axes() (xs, ys []float64) {
	c := &r.Config
	low, high := [2]float64{-c.Span, -c.Span}, [2]float64{c.Span, c.Span}
	switch {
	case c.Directions == Line:
		return lineSteps(c.Span, c.Grid), nil
	case c.Span > 0:
	case len(r.Paths) > 0:
		low, high = r.extent()
	case c.Directions == Eigen:
		// Where the parabola ½λs² of the largest eigenvalue has risen by 1.
		s := 1.0
		if value, _ := r.Directions[0].Eigenvalue.Get(); value > 0 {
			s = math.Sqrt(2 / value)
		}
		low, high = [2]float64{-s, -s}, [2]float64{s, s}
	default:
		low, high = [2]float64{-1, -1}, [2]float64{1, 1}
	}
	xs = steps(low[0], high[0], c.Grid)
	if c.Dims == 2 {
		ys = steps(low[1], high[1], c.Grid)
	}
	return xs, ys
}

// lineSteps returns n evenly spaced numbers of which 0 and 1 are two, from about
// −beyond to about 1 + beyond; 0 is a half.
func lineSteps(beyond float64, n int) []float64 {
	if beyond == 0 {
		beyond = 0.5
	}
	within := min(max(int(math.Round(float64(n-1)/(1+2*beyond))), 1), n-1)
	before := (n - 1 - within) / 2
	list := make([]float64, n)
	for i := range list {
		list[i] = float64(i-before) / float64(within)
	}
	return list
}

// extent returns the ends of the axes for all points of the paths and a margin. The
// axes of a plane are at least a twentieth of each other.
func (r *Result) extent() (low, high [2]float64) {
	for _, p := range r.Paths {
		for _, q := range p.Points {
			for j, v := range []float64{q.X, q.Y} {
				low[j], high[j] = min(low[j], v), max(high[j], v) // 0, the origin, is inside
			}
		}
	}
	widest := max(high[0]-low[0], high[1]-low[1])
	if widest == 0 {
		widest = 1
	}
	for j := range low {
		middle, half := (low[j]+high[j])/2, max((high[j]-low[j])*(0.5+roomShare), widest/20)
		low[j], high[j] = middle-half, middle+half
	}
	return low, high
}

// lowest returns the least loss on the grid.
func (r *Result) lowest() float64 {
	least := math.Inf(1)
	for _, row := range r.Loss {
		for _, x := range row {
			if x < least {
				least = x
			}
		}
	}
	return least
}

// Barrier returns how far the loss on a line between two points, from 0 to 1, rises
// above the straight line between its ends at the most (Frankle et al. 2020,
// arXiv:1912.05671); false where the slice is no such line or has gaps there.
func (r *Result) Barrier() (float64, bool) {
	if r.Config.Directions != Line {
		return 0, false
	}
	first, last := slices.Index(r.X, 0), slices.Index(r.X, 1)
	row, most := r.Loss[0], 0.0
	for i := first; i <= last; i++ {
		rise := row[i] - ((1-r.X[i])*row[first] + r.X[i]*row[last])
		if math.IsNaN(rise) || math.IsInf(rise, 0) {
			return 0, false
		}
		most = max(most, rise)
	}
	return most, true
}

// answer says in a sentence or two what the slice shows.
func (r *Result) answer() string {
	var b strings.Builder
	switch {
	case len(r.Paths) > 1:
		p, q := &r.Paths[0], &r.Paths[1]
		fmt.Fprintf(&b, "%s and %s end %.3g apart; %s, %s. ", q.Short, p.Short, r.Apart[0].Distance, q.walked(), p.walked())
	case len(r.Paths) == 1:
		fmt.Fprintf(&b, "%s. ", r.Paths[0].walked())
	}
	if share, ok := r.Share.Get(); ok {
		fmt.Fprintf(&b, "The %s holds %.3g %% of the squared distances of the points from %s.", r.shape(), 100*share, r.About)
		return b.String()
	}
	if barrier, ok := r.Barrier(); ok {
		if barrier < 1e-3*max(r.Center.Loss, r.lowest()) {
			return fmt.Sprintf("Between the two weights the loss rises nowhere above the straight line between its ends, by %d points.", len(r.X))
		}
		return fmt.Sprintf("Between the two weights the loss rises at most %.3g above the straight line between its ends.", barrier)
	}
	fmt.Fprintf(&b, "The loss is %.4g at %s", r.Center.Loss, r.About)
	if least := r.lowest(); least < r.Center.Loss {
		fmt.Fprintf(&b, " and as low as %.4g on the %s", least, r.shape())
	} else {
		fmt.Fprintf(&b, ", the lowest on the %s", r.shape())
	}
	b.WriteString(".")
	return b.String()
}

// walked says how far the path went and how straight, by its stored points.
func (p *Path) walked() string {
	if p.Displacement == 0 {
		return p.Short + " ends where it began"
	}
	return fmt.Sprintf("%s walked %.2g times the %.3g from its start to its end", p.Short, p.Length/p.Displacement, p.Displacement)
}

// shape is what the slice is.
func (r *Result) shape() string {
	if r.Config.Dims == 1 {
		return "line"
	}
	return "plane"
}

// Summary is a Result without its grid and points.
type Summary struct {
	Config     Config      `json:"config"`
	Runs       []string    `json:"runs,omitempty"`
	Params     int         `json:"params"`
	Samples    int         `json:"samples"`
	About      string      `json:"about"`
	Center     Center      `json:"center"`
	Lowest     float64     `json:"lowest"` // loss on the grid
	Gaps       int         `json:"gaps"`
	Directions []Direction `json:"directions"`
	Cosine     record.Opt  `json:"cosine,omitzero"`
	Share      record.Opt  `json:"share,omitzero"`
	Barrier    record.Opt  `json:"barrier,omitzero"`
	Paths      []PathEnd   `json:"paths,omitempty"`
	Apart      []Apart     `json:"apart,omitempty"`
	Answer     string      `json:"answer"`
	Seconds    float64     `json:"seconds"`
	Out        string      `json:"out"`
}

// PathEnd is a path by its length and its last point.
type PathEnd struct {
	Name         string    `json:"name"`
	Length       float64   `json:"length"`
	Displacement float64   `json:"displacement"`
	Points       int       `json:"points"` // stored
	End          PathPoint `json:"end"`
}

// Summary returns what `sgflow landscape --json` prints.
func (r *Result) Summary() *Summary {
	s := &Summary{
		Config: r.Config, Runs: r.Runs, Params: r.Params, Samples: r.Samples, About: r.About, Center: r.Center, Lowest: r.lowest(),
		Gaps: r.Gaps, Directions: r.Directions, Cosine: r.Cosine, Share: r.Share, Apart: r.Apart, Answer: r.Answer, Seconds: r.Seconds, Out: r.Out,
	}
	if barrier, ok := r.Barrier(); ok {
		s.Barrier = record.Some(barrier)
	}
	for _, p := range r.Paths {
		s.Paths = append(s.Paths, PathEnd{p.Name, p.Length, p.Displacement, len(p.Points), p.Points[len(p.Points)-1]})
	}
	return s
}
