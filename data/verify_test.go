package data

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestVerifyFindsTheEmbeddedMNISTRight(t *testing.T) {
	v, err := Verify("mnist")
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK || v.Where != "embedded" || len(v.Files) != 4 || v.Problem != "" {
		t.Errorf("%+v", v)
	}
	for _, f := range v.Files {
		if f.Status != Matches || f.Found != f.Published || f.Published == "" {
			t.Errorf("%+v", f)
		}
	}
}

// put makes the cache folder of a set.
func put(t *testing.T, name string, files map[string][]byte) string {
	t.Helper()
	cache := t.TempDir()
	t.Setenv("SGFLOW_DATA", cache)
	dir := filepath.Join(cache, name)
	if err := os.Rename(writeFiles(t, files), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func statuses(v *Verification) []FileStatus {
	var s []FileStatus
	for _, f := range v.Files {
		s = append(s, f.Status)
	}
	return s
}

func TestVerifyComparesWhatHasAPublishedHash(t *testing.T) {
	files := smallSet()
	files["train-images-idx3-ubyte.gz"] = gzipped(files["train-images-idx3-ubyte"])
	delete(files, "train-images-idx3-ubyte")
	dir := put(t, "kmnist", files)
	v, err := Verify("kmnist")
	if err != nil {
		t.Fatal(err)
	}
	// MD5 is of the .gz as served; the raw files have no published hash.
	if want := []FileStatus{Differs, Unpublished, Unpublished, Unpublished}; v.OK || v.Where != dir || !slices.Equal(statuses(v), want) {
		t.Errorf("%+v", v)
	}
	if f := v.Files[0]; f.Algorithm != "md5" || f.Published != "bdb82020997e1d708af4cf47b453dcf7" || len(f.Found) != 32 {
		t.Errorf("%+v", f)
	}
	if v.Problem != "" {
		t.Errorf("it loads, but: %s", v.Problem)
	}
}

func TestVerifyOfAFolderChecksItsStructure(t *testing.T) {
	files := smallSet()
	v, err := Verify(writeFiles(t, files))
	if err != nil || !v.OK || !slices.Equal(statuses(v), slices.Repeat([]FileStatus{Unpublished}, 4)) {
		t.Errorf("%+v, %v", v, err)
	}
	files["t10k-images-idx3-ubyte"] = files["t10k-images-idx3-ubyte"][:30]
	v, err = Verify(writeFiles(t, files))
	if err != nil || v.OK || v.Problem == "" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestVerifyOfACorruptArchiveSaysSo(t *testing.T) {
	put(t, "cifar10", map[string][]byte{cifarArchive: tarball(t, cifarSmall())})
	v, err := Verify("cifar10")
	if err != nil || v.OK || v.Files[0].Status != Differs || v.Files[0].Algorithm != "sha256" {
		t.Errorf("%+v, %v", v, err)
	}
}

// The content hash of a corrupt .gz can't be taken; that is a mismatch with
// the reason in place of the hash.
func TestCheckOfABrokenGzipGivesTheReason(t *testing.T) {
	k := &knownSet{name: "toy", files: lookup("mnist").files}
	b := gzipped(smallSet()["train-images-idx3-ubyte"])
	src := folderSource(writeFiles(t, map[string][]byte{"train-images-idx3-ubyte.gz": b[:len(b)-4]}))
	c, err := k.check(src, "train-images-idx3-ubyte.gz")
	if err != nil || c.Status != Differs || c.Found != "truncated: the gzip stream ends early" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestVerifyOfNothingIsAnError(t *testing.T) {
	t.Setenv("SGFLOW_DATA", t.TempDir())
	_, err := Verify("kmnist")
	wantError(t, err, "kmnist", "sgflow data fetch kmnist")
	_, err = Verify("kminst")
	wantError(t, err, "did you mean kmnist")
	put(t, "kmnist", nil)
	_, err = Verify("kmnist")
	wantError(t, err, "kmnist", "holds no data files", "sgflow data fetch kmnist")
}

func TestListSaysWhatIsOnThisMachine(t *testing.T) {
	dir := put(t, "kmnist", smallSet())
	where := map[string]string{}
	for _, i := range List() {
		where[i.Name] = i.Where
	}
	if where["mnist"] != "embedded" || where["kmnist"] != dir || where["cifar10"] != "" || len(where) != 5 {
		t.Errorf("%v", where)
	}
	i, err := Info("cifar10")
	if err != nil || i.Train != 50000 || i.Channels != 3 || i.Classes != 10 || i.Files[0] != cifarArchive || len(i.Mirrors) == 0 {
		t.Errorf("%+v, %v", i, err)
	}
	i, err = Info(dir)
	if err != nil || i.Train != 6 || i.Test != 4 || i.Classes != 3 || i.Height != 2 || i.Where != dir {
		t.Errorf("%+v, %v", i, err)
	}
	_, err = Info("cifar")
	wantError(t, err, "did you mean cifar10")
}
