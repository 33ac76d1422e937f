// What bench/memory.cpp does, in Go.
package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const count = 100000

type made struct {
	ctx    context.Context
	cancel context.CancelFunc
}

type key struct{}

func heap() (bytes, allocations uint64) {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one may have left finalizers and timers behind
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc, stats.Mallocs
}

func measure(name string, make1 func(context.Context) made) {
	parent, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := make([]made, 0, count)
	before, allocations := heap()
	for i := 0; i < count; i++ {
		all = append(all, make1(parent))
	}
	after, allocationsAfter := heap()
	fmt.Printf("Memory/%s %d B\n", name, (after-before)/count)
	fmt.Printf("Allocations/%s %d\n", name, (allocationsAfter-allocations)/count)
	runtime.KeepAlive(all)
	for _, m := range all {
		if m.cancel != nil {
			m.cancel()
		}
	}
}

func main() {
	measure("with_cancel", func(p context.Context) made {
		ctx, cancel := context.WithCancel(p)
		return made{ctx, cancel}
	})
	measure("with_cancel_and_done", func(p context.Context) made {
		ctx, cancel := context.WithCancel(p)
		ctx.Done()
		return made{ctx, cancel}
	})
	measure("with_timeout", func(p context.Context) made {
		ctx, cancel := context.WithTimeout(p, time.Hour)
		return made{ctx, cancel}
	})
	measure("with_value", func(p context.Context) made {
		return made{context.WithValue(p, key{}, 1), nil}
	})
}
