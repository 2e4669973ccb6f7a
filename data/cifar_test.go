package data

import (
	"archive/tar"
	"bytes"
	"maps"
	"slices"
	"testing"
)

// cifarSmall returns the six binary files with two records each; record r of
// file k has label 2k+r mod 10 and pixels that begin with its label.
func cifarSmall() map[string][]byte {
	files := map[string][]byte{}
	for k, name := range cifarFiles {
		var b []byte
		for r := range 2 {
			label := byte(2*k+r) % 10
			record := append([]byte{label}, ramp(cifarSize)...)
			record[1] = label
			b = append(b, record...)
		}
		files[name] = b
	}
	return files
}

func tarball(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, b := range files {
		if err := w.WriteHeader(&tar.Header{Name: "cifar-10-batches-bin/" + name, Size: int64(len(b)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return gzipped(buf.Bytes())
}

func TestCIFARIsTheSameFromFolderSubfolderAndArchive(t *testing.T) {
	inner := map[string][]byte{}
	for name, b := range cifarSmall() {
		inner[cifarFolder+"/"+name] = b
	}
	packed := cifarSmall()
	packed["readme.html"] = []byte("about")
	for where, files := range map[string]map[string][]byte{
		"folder": cifarSmall(), "subfolder": inner, "archive": {cifarArchive: tarball(t, packed)},
	} {
		set, err := Open(writeFiles(t, files))
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		if set.Train.N != 10 || set.Test.N != 2 || set.Channels != 3 || set.Height != 32 || set.Width != 32 || len(set.Hashes) != 6 {
			t.Errorf("%s: %d + %d samples of %d×%d×%d", where, set.Train.N, set.Test.N, set.Channels, set.Height, set.Width)
		}
		if !slices.Equal(set.Train.Labels, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || !slices.Equal(set.Test.Labels, []int32{0, 1}) {
			t.Errorf("%s: labels %v and %v", where, set.Train.Labels, set.Test.Labels)
		}
		for i := range 10 {
			image := set.Train.Pixels[i*cifarSize:][:cifarSize]
			if int(image[0]) != i || !bytes.Equal(image[1:], ramp(cifarSize)[1:]) {
				t.Errorf("%s: image %d has other pixels", where, i)
			}
		}
	}
}

func TestCIFARSaysWhatIsWrong(t *testing.T) {
	good := cifarSmall()
	wild := slices.Clone(good["data_batch_4.bin"])
	wild[cifarRecord] = 10
	for _, c := range []struct {
		name   string
		change map[string][]byte
		want   []string
	}{
		{"missing", map[string][]byte{"data_batch_3.bin": nil}, []string{"data_batch_3.bin is missing"}},
		{"truncated", map[string][]byte{"test_batch.bin": good["test_batch.bin"][:5000]}, []string{"test_batch.bin", "5000 bytes", "3073"}},
		{"empty", map[string][]byte{"data_batch_1.bin": {}}, []string{"data_batch_1.bin", "0 bytes"}},
		{"label", map[string][]byte{"data_batch_4.bin": wild}, []string{"data_batch_4.bin", "label 10 at index 1", "0…9"}},
	} {
		files := cifarSmall()
		maps.Copy(files, c.change)
		maps.DeleteFunc(files, func(_ string, b []byte) bool { return b == nil })
		_, err := Open(writeFiles(t, files))
		wantError(t, err, c.want...)
		_, err = Open(writeFiles(t, map[string][]byte{cifarArchive: tarball(t, files)}))
		wantError(t, err, append(c.want, cifarArchive)...)
	}
	whole := tarball(t, good)
	_, err := Open(writeFiles(t, map[string][]byte{cifarArchive: whole[:len(whole)/2]}))
	wantError(t, err, cifarArchive, "truncated")
	_, err = Open(writeFiles(t, map[string][]byte{cifarArchive: []byte("<html>not found</html>")}))
	wantError(t, err, cifarArchive, "corrupt")
}
