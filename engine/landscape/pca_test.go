package landscape

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/trajectory"
)

// wander returns the points of a path of n points with a drift, in p dimensions.
func wander(n, p int, stream uint64) [][]float64 {
	noise := normals(n*p, stream)
	points := make([][]float64, n)
	for i := range points {
		points[i] = make([]float64, p)
		for k := range p {
			points[i][k] = float64(i)*float64(k%3-1)/5 + noise[i*p+k]
			if i > 0 {
				points[i][k] += points[i-1][k] / 2
			}
		}
	}
	return points
}

func principal(t *testing.T, origin []float64, k int, paths ...*trajectory.Trajectory) *Components[float64] {
	t.Helper()
	c, err := Principal(context.Background(), paths, origin, k, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPrincipalComponentsAreTheSingularVectors(t *testing.T) {
	const p = 40
	a, b := wander(7, p, 1), wander(5, p, 2)
	origin := a[6]
	c := principal(t, origin, 3, pathOf(t, a...), pathOf(t, b...))
	m := mat.NewDense(12, p, nil)
	for i, x := range append(append([][]float64(nil), a...), b...) {
		for k := range p {
			m.Set(i, k, x[k]-origin[k])
		}
	}
	var svd mat.SVD
	if !svd.Factorize(m, mat.SVDThin) {
		t.Fatal("no SVD")
	}
	values := svd.Values(nil)
	total := 0.0
	for _, v := range values {
		total += v * v
	}
	sum := 0.0
	for j, share := range c.Shares {
		if want := values[j] * values[j] / total; math.Abs(share-want) > 1e-12 {
			t.Errorf("share %d is %v, want %v", j, share, want)
		}
		sum += share
	}
	near(t, "the sum of the shares", sum, 1, 1e-12)
	var v mat.Dense
	svd.VTo(&v)
	for j, d := range c.Directions {
		want := mat.Col(nil, j, &v)
		cos := dot(d, want)
		near(t, "the cosine with the singular vector", math.Abs(cos), 1, 1e-10)
		for i := range j {
			if x := dot(d, c.Directions[i]); math.Abs(x) > 1e-14 {
				t.Errorf("directions %d and %d have the product %v", i, j, x)
			}
		}
		near(t, "a norm", dot(d, d), 1, 1e-14)
	}
}

// coordinates returns the places of all points as one list.
func coordinates(t *testing.T, origin []float64, paths ...*trajectory.Trajectory) (list []Place, shares []float64) {
	t.Helper()
	c := principal(t, origin, 2, paths...)
	places, err := Project(context.Background(), paths, &Slice[float64]{Origin: origin, Directions: c.Directions}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		list = append(list, p...)
	}
	return list, c.Shares
}

func TestPrincipalComponentsTurnWithThePaths(t *testing.T) {
	const p = 30
	a, b := wander(9, p, 3), wander(6, p, 4)
	var qr mat.QR
	qr.Factorize(mat.NewDense(p, p, normals(p*p, 5)))
	var q mat.Dense
	qr.QTo(&q)
	turned := func(points [][]float64) [][]float64 {
		list := make([][]float64, len(points))
		for i, x := range points {
			var y mat.VecDense
			y.MulVec(&q, mat.NewVecDense(p, x))
			list[i] = y.RawVector().Data
		}
		return list
	}
	ta, tb := turned(a), turned(b)
	want, shares := coordinates(t, a[8], pathOf(t, a...), pathOf(t, b...))
	got, turnedShares := coordinates(t, ta[8], pathOf(t, ta...), pathOf(t, tb...))
	for i := range shares {
		if math.Abs(shares[i]-turnedShares[i]) > 1e-12 {
			t.Errorf("share %d is %v, turned %v", i, shares[i], turnedShares[i])
		}
	}
	for i := range want {
		for _, x := range [][2]float64{{got[i].X, want[i].X}, {got[i].Y, want[i].Y}, {got[i].Off, want[i].Off}} {
			if math.Abs(x[0]-x[1]) > 1e-9 {
				t.Errorf("point %d is at %+v, turned at %+v", i, want[i], got[i])
			}
		}
	}
	if !(want[0].X < 0) {
		t.Errorf("the first point has the coordinate %v", want[0].X)
	}
}

func TestPlaneOfTheComponentsIsTheNearestThroughTheOrigin(t *testing.T) {
	const p = 25
	a := wander(12, p, 6)
	path, origin := pathOf(t, a...), a[11]
	off := func(d [][]float64) (sum float64) {
		places, err := Project(context.Background(), []*trajectory.Trajectory{path}, &Slice[float64]{Origin: origin, Directions: d}, nothing)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range places[0] {
			sum += q.Off * q.Off
		}
		return sum
	}
	c := principal(t, origin, 2, path)
	least := off(c.Directions)
	total := 0.0
	for _, x := range a {
		d := distance(x, origin)
		total += d * d
	}
	near(t, "what is off the plane", least/total, 1-c.Shares[0]-c.Shares[1], 1e-9)
	for i := range uint64(20) {
		near := [][]float64{append([]float64(nil), c.Directions[0]...), append([]float64(nil), c.Directions[1]...)}
		for j := range near {
			axpy(0.05, normals(p, 100+2*i+uint64(j)), near[j])
		}
		if off(near) <= least {
			t.Errorf("a turned plane is nearer: %v, %v", off(near), least)
		}
	}
}

func TestProjectionIsTheLeastSquaresSolution(t *testing.T) {
	const p = 20
	a := wander(4, p, 7)
	s := &Slice[float64]{Origin: normals(p, 20), Directions: [][]float64{normals(p, 21), normals(p, 22)}}
	axpy(1.5, s.Directions[0], s.Directions[1]) // far from orthogonal
	places, err := Project(context.Background(), []*trajectory.Trajectory{pathOf(t, a...)}, s, nothing)
	if err != nil {
		t.Fatal(err)
	}
	d := mat.NewDense(p, 2, nil)
	for j, x := range s.Directions {
		d.SetCol(j, x)
	}
	for i, x := range a {
		b := append([]float64(nil), x...)
		axpy(-1, s.Origin, b)
		var want, rest mat.VecDense
		if err := want.SolveVec(d, mat.NewVecDense(p, b)); err != nil {
			t.Fatal(err)
		}
		rest.MulVec(d, &want)
		rest.SubVec(mat.NewVecDense(p, b), &rest)
		near(t, "x", places[0][i].X, want.AtVec(0), 1e-10)
		near(t, "y", places[0][i].Y, want.AtVec(1), 1e-10)
		near(t, "the distance from the slice", places[0][i].Off, mat.Norm(&rest, 2), 1e-10)
		near(t, "the distance from the origin", places[0][i].Distance, distance(x, s.Origin), 1e-12)
	}
}

func TestDirectionsThatDoNotExistAreRequestErrors(t *testing.T) {
	x, d := normals(6, 1), normals(6, 2)
	step := func(a float64) []float64 {
		y := append([]float64(nil), x...)
		axpy(a, d, y)
		return y
	}
	params := []record.ParamSpec{{Name: "w", Shape: []int{6}}}
	ctx := context.Background()
	pca := func(k int, paths ...*trajectory.Trajectory) error {
		_, err := Principal(ctx, paths, x, k, nothing)
		return err
	}
	project := func(d ...[]float64) error {
		_, err := Project(ctx, []*trajectory.Trajectory{pathOf(t, x)}, &Slice[float64]{Origin: x, Directions: d}, nothing)
		return err
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{pca(2, pathOf(t, step(1), x)), "need 2 stored points"},
		{pca(1, pathOf(t, x)), "need 1 stored points"},
		{pca(2, pathOf(t, step(3), step(2), step(1), x)), "--dims 1"},
		{pca(2, pathOf(t, normals(7, 3), normals(7, 4), normals(7, 5))), "7 numbers"},
		{pca(2, storedPath(t, trajectory.Header{Params: params, Projection: &trajectory.Projection{Dim: 2}}, step(1), step(2), x)), "--trajectory-dim"},
		{project(make([]float64, 6)), "norm zero"},
		{project(d, make([]float64, 6)), "parallel"},
		{project(d, d), "parallel"},
	} {
		var wrong *request.Error
		if !errors.As(c.err, &wrong) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %v, want a request.Error with %q", c.err, c.want)
		}
	}
	if err := pca(1, pathOf(t, step(3), step(2), x)); err != nil {
		t.Errorf("points on a line have a first component: %v", err)
	}
}
