// What CommonRoot and OwnRoot of bench/context_bench.cpp do, in Go.
package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// below derives and cancels below a request of its own on each thread.
func below(root func() (context.Context, context.CancelFunc)) func(*testing.B) {
	return func(b *testing.B) {
		shared, cancelShared := root()
		defer cancelShared()
		b.RunParallel(func(pb *testing.PB) {
			request, cancelRequest := context.WithCancel(shared)
			defer cancelRequest()
			for pb.Next() {
				_, cancel := context.WithCancel(request)
				cancel()
			}
		})
	}
}

func main() {
	minTime := flag.Duration("time", 200*time.Millisecond, "for each row")
	testing.Init()
	flag.Parse()
	flag.Set("test.benchtime", minTime.String())
	common := func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }
	own := func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }
	for _, threads := range []int{1, 2} {
		runtime.GOMAXPROCS(threads)
		fmt.Printf("CommonRoot/threads=%d %d ns\n", threads, testing.Benchmark(below(common)).NsPerOp())
		fmt.Printf("OwnRoot/threads=%d %d ns\n", threads, testing.Benchmark(below(own)).NsPerOp())
	}
}
