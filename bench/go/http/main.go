// What bench/http_bench.cpp does, in Go.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

func cancelledRequests(url string, count int, inFlightAfter time.Duration) []time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	returned := make([]time.Time, count)
	var wg sync.WaitGroup
	wg.Add(count)
	for i := range returned {
		go func(at *time.Time) {
			defer wg.Done()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				panic(err)
			}
			if _, err := http.DefaultClient.Do(req); err != nil {
				*at = time.Now()
			}
		}(&returned[i])
	}
	time.Sleep(inFlightAfter)
	start := time.Now()
	cancel()
	wg.Wait()
	took := make([]time.Duration, count)
	for i, at := range returned {
		took[i] = at.Sub(start)
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	return took
}

func main() {
	single := make([]time.Duration, 1000)
	for i := range single {
		single[i] = cancelledRequests(os.Args[1], 1, 2*time.Millisecond)[0]
	}
	sort.Slice(single, func(i, j int) bool { return single[i] < single[j] })
	fmt.Printf("HTTP/cancel_to_return/p50 %d ns\n", single[499])
	fmt.Printf("HTTP/cancel_to_return/p99 %d ns\n", single[989])

	last := make([]time.Duration, 5)
	for i := range last {
		last[i] = cancelledRequests(os.Args[1], 1000, time.Second/2)[999]
	}
	sort.Slice(last, func(i, j int) bool { return last[i] < last[j] })
	fmt.Printf("HTTP/1000_in_flight/all_returned %d ns\n", last[2])
}
