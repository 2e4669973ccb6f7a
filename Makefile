# Only Go and make are needed: without a C compiler everything is pure Go and Go assembly.
export CGO_ENABLED ?= 0

# With gcc on Linux, x86-64, the program has CUDA support too: the build tag gpu, with
# cgo. No CUDA toolkit is needed. (The tag cuda would be Gorgonia's own.)
ifeq ($(shell go env GOOS)/$(shell go env GOARCH)/$(if $(shell command -v gcc),gcc),linux/amd64/gcc)
CUDA_ENV = CGO_ENABLED=1 CGO_CFLAGS="-O2 -g -I$(CURDIR)/engine/cuda/shim/include"
CUDA_TAGS = -tags gpu,netgo,osusergo
endif

# NVRTC compiles the CUDA kernels; it needs no GPU.
NVRTC ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sgflow-nvrtc
NVRTC_FOLDER = $(NVRTC)/nvidia/cuda_nvrtc/lib

# What looks for errors of kernels on a GPU; it comes with CUDA's toolkit.
SANITIZE = SGFLOW_LIBCUDA=libcuda.so.1 compute-sanitizer --error-exitcode 1 --require-cuda-init no

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: run build test test-slow test-guide test-verdicts test-slurm bench-sweep test-race lint cross fuzz bench test-cuda bench-cuda bench-peers bench-peers-cuda bin/peers-product bin/gpu bench-estimators agreement generate check-cuda-header check-ptx screenshots clean

run: build ## train the MLP preset on the embedded MNIST, measuring everything
	./bin/sgflow train

build: ## bin/sgflow
	$(CUDA_ENV) go build $(CUDA_TAGS) -trimpath -o bin/sgflow ./cmd/sgflow

test: ## all quick tests; those of CUDA on an emulated device, which needs g++
	go test -timeout 30m ./...
	$(if $(CUDA_ENV),$(CUDA_ENV) go test -timeout 30m $(CUDA_TAGS) ./engine/cuda/...,@echo 'SKIP: the tests of CUDA need gcc and g++')
	$(if $(CUDA_ENV),$(if $(SGFLOW_SLOW),SGFLOW_EMULATOR_CAPABILITY=75 $(CUDA_ENV) go test -timeout 30m $(CUDA_TAGS) -run 'MatMulIn|Presets' ./engine/cuda))

test-slow: ## also those that train to accuracy and to the edge of stability
	SGFLOW_SLOW=1 go test -timeout 40m ./...

test-guide: ## every command of the guide prints what the guide says, numbers aside (some minutes)
	SGFLOW_GUIDE=1 go test -count=1 -timeout 40m -run TestGuideQuotes ./cmd/sgflow

test-verdicts: ## every verdict of sgflow reproduce is the same for three base seeds (an hour)
	SGFLOW_VERDICTS=1 go test -count=1 -timeout 3h -run TestVerdictsAreTheSame ./engine/reproduce

test-slurm: ## sweeps on a Slurm that is started for it (Debian, as root)
	engine/sweep/testdata/slurm

bench-sweep: ## what a sweep costs beside its runs (a few minutes, calm machine)
	SGFLOW_BENCH=1 go test -count=1 -timeout 60m -run 'TestSweepSpeed|TestSweepOfTenThousand' -v ./cmd/sgflow

test-race: ## packages that start goroutines, under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./engine/cpu/... ./engine/sweep/... ./engine/record ./engine/train ./engine/op ./data
	CGO_ENABLED=1 go test -race -run 'Map|Side|Threads' ./engine/reproduce

lint: ## formatting, vet, staticcheck
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change: $$files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	$(if $(CUDA_ENV),$(CUDA_ENV) go vet $(CUDA_TAGS) ./engine/cuda/... ./engine ./engine/train ./cmd/...)
	$(if $(CUDA_ENV),$(CUDA_ENV) go run $(STATICCHECK) $(CUDA_TAGS) ./engine/cuda/... ./engine ./engine/train ./cmd/...)

cross: ## build for the other platforms
	GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/sgflow
	GOOS=windows GOARCH=amd64 go build -o /dev/null ./cmd/sgflow
	GOOS=linux GOARCH=arm64 go vet ./engine/cpu/...

fuzz: ## a short run of every fuzz target (so many inputs, as go test calls it a failure when a time is up at the wrong moment)
	go test -run '^$$' -fuzz FuzzReadIDX -fuzztime 50000x ./data
	go test -run '^$$' -fuzz FuzzReadSafetensors -fuzztime 200000x ./engine/record
	go test -run '^$$' -fuzz FuzzParseSchedule -fuzztime 100000x ./engine/optim
	go test -run '^$$' -fuzz 'FuzzParse$$' -fuzztime 100000x ./models

test-cuda: ## kernels, steps and endurance on this machine's GPU; bin/cuda.test runs elsewhere too
	$(CUDA_ENV) go test -c $(CUDA_TAGS) -o bin/cuda.test ./engine/cuda
	SGFLOW_LIBCUDA=libcuda.so.1 bin/cuda.test -test.v
	$(if $(shell command -v compute-sanitizer),$(foreach tool,memcheck racecheck,$(SANITIZE) --tool $(tool) bin/cuda.test -test.run 'MatMul|Conv|Pool|Unary|Elementwise|Bias|Reduce|Transpose|Loss|Session|Presets|Vector|StepsOnTheDevice' &&) true,@echo 'SKIP: compute-sanitizer is not installed')

bench-cuda: ## time steps, gradients, products with the Hessian and matrix products on this machine's GPU
	$(CUDA_ENV) go test -c $(CUDA_TAGS) -o bin/cuda.test ./engine/cuda
	SGFLOW_LIBCUDA=libcuda.so.1 bin/cuda.test -test.run '^$$' -test.bench .

bin/gpu: ## what bench/gpu needs on a machine with a GPU and no Go: small enough to be copied
	mkdir -p $@
	$(CUDA_ENV) go test -c $(CUDA_TAGS) -trimpath -ldflags '-s -w' -o $@/cuda.test ./engine/cuda
	$(CUDA_ENV) go build $(CUDA_TAGS) -trimpath -ldflags '-s -w' -o $@/peers-product ./bench/peers/product
	$(CUDA_ENV) go build $(CUDA_TAGS) -trimpath -ldflags '-s -w' -o $@/sgflow ./cmd/sgflow
	cd $@ && xz -f -T0 cuda.test peers-product sgflow

bench: ## kernels and steps of this machine
	go test -run '^$$' -bench . ./engine/cpu/... ./bench/...

bench-peers: ## time this machine against PyTorch, JAX, Gorgonia and GoMLX (sets up its own environment; half an hour)
	bench/peers/run

bench-peers-cuda: ## time steps on this machine's GPU against PyTorch's CUDA graphs and JAX's scan, of the Python that is here
	bench/peers/cuda

bin/peers-product: ## sgflow's worker in the comparisons, with CUDA; it runs elsewhere too
	$(CUDA_ENV) go build $(CUDA_TAGS) -trimpath -o $@ ./bench/peers/product

bench-estimators: ## time steps that measure against Cockpit, BackPACK, PyHessian and curvlinops (sets up its own environments; half an hour)
	bench/peers/estimators

agreement: ## compare what is measured with PyTorch, BackPACK, curvlinops and Cockpit in float64 (sets up its own environment)
	bench/peers/agreement

generate: $(NVRTC_FOLDER)/libnvrtc.so.11.2 ## make the checked-in assembly, the shim and the compiled kernels again from their sources
	SGFLOW_NVRTC=$(NVRTC_FOLDER) go generate ./...

$(NVRTC_FOLDER)/libnvrtc.so.11.2:
	python3 -m pip install --quiet --no-deps --target $(NVRTC) nvidia-cuda-nvrtc-cu11==11.8.89

check-cuda-header: ## compare the project's cuda.h with NVIDIA's in CUDA_INCLUDE (of 11.8, fetched), and build against that
	$(if $(CUDA_INCLUDE),,python3 -m pip install --quiet --no-deps --target bin/_cuda nvidia-cuda-runtime-cu11==11.8.89)
	cd engine/cuda/shim && go run ./gen -compare | gcc -fsyntax-only -Werror -Wno-deprecated-declarations -x c -I $(or $(CUDA_INCLUDE),$(CURDIR)/bin/_cuda/nvidia/cuda_runtime/include) -
	CGO_ENABLED=1 CGO_CFLAGS="-O2 -g -I$(or $(CUDA_INCLUDE),$(CURDIR)/bin/_cuda/nvidia/cuda_runtime/include)" go build $(CUDA_TAGS) -o /dev/null ./cmd/sgflow

check-ptx: ## the compiler within the drivers, as PTXAS (of 12.9, fetched), takes the embedded PTX for all kinds of GPU
	$(if $(PTXAS),,python3 -m pip install --quiet --no-deps --target bin/_ptxas nvidia-cuda-nvcc-cu12==12.9.86)
	set -e; for pair in 75:75 80:80 80:86 80:89 80:90 80:100 80:120; do \
		gunzip -c engine/cuda/kernels/images/compute_$${pair%:*}.ptx.gz > bin/check.ptx; \
		$(or $(PTXAS),bin/_ptxas/nvidia/cuda_nvcc/bin/ptxas) -arch sm_$${pair#*:} bin/check.ptx -o bin/check.cubin; \
	done; rm bin/check.ptx bin/check.cubin

screenshots: ## the report's page as Chromium shows and prints it, under bin/_artifacts
	mkdir -p bin
	go test -count=1 -run Chromium -artifacts -outputdir $(CURDIR)/bin ./engine/report

clean:
	rm -rf bin
