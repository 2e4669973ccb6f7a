// Package record keeps the folder of a run: what was asked for, every step's
// measurements, the checkpoints and the final weights.
//
//	run.json                 Run: configuration, versions, device, data, summary
//	steps.jsonl              Step, one line a step
//	epochs.jsonl             Epoch, one line an epoch
//	events.out.tfevents.*    the same scalars for TensorBoard
//	checkpoints/             step-*.safetensors, the last two;
//	                         weights.safetensors at the end
//	trajectory.*             points of the run's path, where asked for (package trajectory)
//
// The training loop makes a [Folder] with [Create], hands it a [Step] after
// every step and an [Epoch] after every epoch, and a [Checkpoint] when it
// wants to be able to go on from there. A run that died is taken up with
// [LatestCheckpoint] and [Resume], which cuts the logs back to the
// checkpoint; as every encoding here is deterministic, the replay writes the
// same lines again.
//
// What was logged stays readable whatever happens: a write has whole lines, one or those of
// steps that came together ([Folder.Hold]), a failed write is cut back, and every other file is replaced atomically.
// Readers ([ReadSteps], [ReadEpochs], [ReadRun], [ReadSafetensors],
// [LoadWeights]) check what they read and trust none of it.
//
// The package knows files and numbers, not training: it starts no goroutine,
// reads no clock and prints nothing.
package record
