package kernel

//go:generate go run ./gen -path avx512 -part tiles -pkg kernel -out tiles_avx512_amd64.s -stubs tiles_avx512_amd64.go
//go:generate go run ./gen -path avx512 -part moves -pkg kernel -out moves_avx512_amd64.s -stubs moves_avx512_amd64.go
//go:generate go run ./gen -path avx512 -part vectors -pkg kernel -out vectors_avx512_amd64.s -stubs vectors_avx512_amd64.go
//go:generate go run ./gen -path avx2 -part tiles -pkg kernel -out tiles_avx2_amd64.s -stubs tiles_avx2_amd64.go
//go:generate go run ./gen -path avx2 -part moves -pkg kernel -out moves_avx2_amd64.s -stubs moves_avx2_amd64.go
//go:generate go run ./gen -path avx2 -part vectors -pkg kernel -out vectors_avx2_amd64.s -stubs vectors_avx2_amd64.go
//go:generate go run ./gen -path avx512 -part table table_avx512_amd64.go
//go:generate go run ./gen -path avx2 -part table table_avx2_amd64.go
//go:generate go run ./gen -part pause -pkg kernel -out pause_amd64.s -stubs pause_amd64.go
//go:generate go run ./gen -path avx512 -part pools -pkg kernel -out pools_avx512_amd64.s -stubs pools_avx512_amd64.go
//go:generate go run ./gen -path avx2 -part pools -pkg kernel -out pools_avx2_amd64.s -stubs pools_avx2_amd64.go
//go:generate go run ./gen -path avx512 -part maths -pkg kernel -out maths_avx512_amd64.s -stubs maths_avx512_amd64.go
//go:generate go run ./gen -path avx2 -part maths -pkg kernel -out maths_avx2_amd64.s -stubs maths_avx2_amd64.go
