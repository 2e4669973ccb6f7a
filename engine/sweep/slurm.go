package sweep

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sgflow/engine/record"
)

// Slurm says how workers are started on a cluster that Slurm manages: as the
// tasks of a job array.
type Slurm struct {
	Tasks int
	// Threads is the number of CPUs of a task, and Options are further options
	// of sbatch, such as --partition=gpu or --gres=gpu:1.
	Threads int
	Options []string
}

// sbatch is the program that submits jobs.
const sbatch = "sbatch"

// canSubmit reports whether jobs can be submitted on this machine.
func canSubmit() bool {
	_, err := exec.LookPath(sbatch)
	return err == nil
}

// Names in a sweep folder.
const (
	slurmScript = "slurm.sh"
	urlFile     = "queue.url"
)

// submitArray writes the job script and submits it. The function that it
// returns ends what is left of the job.
func (s *sweep) submitArray(ctx context.Context) (end func(), err error) {
	dir, err := filepath.Abs(s.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	// The address has the token in it: tasks read it from a file that only the
	// user can.
	address := filepath.Join(dir, urlFile)
	if err := os.RemoveAll(address); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	if err := os.WriteFile(address, []byte(s.o.Queue.URL), 0o600); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	script := s.o.Slurm.script(binary, dir, s.o.credentials())
	path := filepath.Join(dir, slurmScript)
	if err := record.WriteFileAtomic(path, func(w io.Writer) error {
		_, err := io.WriteString(w, script)
		return err
	}); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	args := append([]string{"--parsable", "--chdir=" + dir, "--output=slurm-%A_%a.log"}, s.o.Slurm.Options...)
	out, err := exec.CommandContext(ctx, sbatch, append(args, path)...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return nil, fmt.Errorf("sweep: sbatch: %w: %s", err, text)
	}
	job, _, _ := strings.Cut(text, ";") // the cluster's name may follow
	s.warn(fmt.Sprintf("submitted %s as Slurm job %s with %d tasks", path, job, s.o.Slurm.Tasks))
	return func() {
		_ = exec.Command("scancel", job).Run() // tasks end by themselves when idle
		_ = os.Remove(address)
	}, nil
}

// script is the job script: an array whose tasks are workers.
func (l *Slurm) script(binary, dir string, credentials []string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n#SBATCH --job-name=sgflow\n")
	fmt.Fprintf(&b, "#SBATCH --array=0-%d\n#SBATCH --cpus-per-task=%d\n", l.Tasks-1, l.Threads)
	fmt.Fprintf(&b, "%s=$(cat %s) || exit 1\nexport %s\n", URLVariable, quoted(filepath.Join(dir, urlFile)), URLVariable)
	fmt.Fprintf(&b, `exec %s worker --name "slurm-$SLURM_ARRAY_TASK_ID" --dir %s --threads %d --idle 2m`, quoted(binary), quoted(filepath.Join(dir, workDir)), l.Threads)
	for _, c := range credentials {
		b.WriteString(" " + quoted(c))
	}
	b.WriteString("\n")
	return b.String()
}

// quoted is text as a word of the shell's.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
