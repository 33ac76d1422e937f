// What ./context_cancel does, in Go: the slow handler waits for its request's context too, so the
// process need not outlive a cancelled call.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"
)

func slowServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(2 * time.Second):
			fmt.Fprint(w, "Slow response")
		case <-r.Context().Done():
		}
	}))
}

func fastServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("error") == "true" {
			fmt.Fprint(w, "error")
			return
		}
		fmt.Fprint(w, "ok")
	}))
}

func callServer(ctx context.Context, label, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		fmt.Println(label, "request err:", err)
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(label, "response err:", err)
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(label, "read err:", err)
		return err
	}
	fmt.Println(label, "result:", string(body))
	if string(body) == "error" {
		fmt.Println("cancelling from", label)
		return errors.New("error happened")
	}
	return nil
}

func main() {
	slow, fast := slowServer(), fastServer()
	defer slow.Close()
	defer fast.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	call := func(label, url string) {
		defer wg.Done()
		if callServer(ctx, label, url) != nil {
			cancel()
		}
	}
	wg.Add(2)
	go call("slow", slow.URL)
	go call("fast", fast.URL+"?error="+os.Args[1])
	wg.Wait()
	fmt.Println("done with both")
}
