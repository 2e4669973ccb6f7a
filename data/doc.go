// Package data holds the data sets that networks are trained on and draws
// batches from them. It knows nothing of networks or devices.
//
// Open loads a set by name (MNIST is embedded, complete) or from a folder of
// IDX files into a Set: two Splits of samples as they stand in the file, bytes
// where the file has bytes, with labels. A Sampler names the samples of a
// step, Gather and OneHot turn them into the numbers that a network sees:
//
//	set, err := data.Open("mnist")
//	train, err := set.Train.Limit(1000)
//	sampler, err := data.NewSampler(data.Shuffle, train.N, 64, seed)
//	x := make([]float32, sampler.MaxBatch()*train.Size())
//	y := make([]float32, sampler.MaxBatch()*set.Classes)
//	var indices []int32
//	for step := range steps {
//		indices = sampler.Batch(step, indices)
//		data.Gather(x[:len(indices)*train.Size()], train, indices, data.Scale{})
//		data.OneHot(y[:len(indices)*set.Classes], train, indices, set.Classes)
//	}
//
// Normalization makes a Scale that also subtracts the training set's mean and
// divides by its deviation. Batches are a function of seed and step alone (see
// package rng), so a resumed run continues exactly. After the first Batch the
// loop allocates nothing.
//
// List, Info, Fetch and Verify are for people who look for a set, download it
// to the cache (CacheDir) and check it against the published hashes.
//
// Readers believe no header: what a file promises is compared with what it
// holds, memory grows with what really comes, and every error says in one line
// which file is wrong and how.
//
// A new published set is one entry in known.go.
package data
