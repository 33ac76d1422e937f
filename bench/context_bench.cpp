// Counterparts of the benchmarks of Go's context package, one for one and under its names, and a
// few beside a baseline from the C++ standard library. README.md says what each row asks.

#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::background;
using context::CancelFunc;
using context::Cancellable;
using context::Context;
using context::with_cancel;
using context::with_timeout;

namespace {

const context::Key<std::string> key{"key"};

// Versions of the library differ in whether the time of a row with two threads is that of one of
// them or, as in Go, that of both: bench/compare sees it by this row, each operation of which takes
// 1 ms.
void Sleep(benchmark::State& state) {
    for (auto _ : state) std::this_thread::sleep_for(1ms);
}
BENCHMARK(Sleep)->Threads(2)->UseRealTime();

// Go's has 200 divisions, too; its newer compilers leave them out, since they have no effect.
void CommonParentCancel(benchmark::State& state) {
    static std::optional<Cancellable> shared;
    if (state.thread_index() == 0) {
        shared = with_cancel(context::with_value(background(), key, "value"));
    }
    for (auto _ : state) {
        const auto [ctx, cancel] = with_cancel(shared->ctx);
        if (*ctx.value(key) != "value") std::abort();
        cancel();
    }
}
BENCHMARK(CommonParentCancel)->Threads(1)->Threads(2)->UseRealTime();

// Each thread derives and cancels below a request of its own.
void derive_below(benchmark::State& state, const Context& root) {
    const auto [request, cancel_request] = with_cancel(root);
    for (auto _ : state) {
        const auto [ctx, cancel] = with_cancel(request);
        cancel();
    }
}

void CommonRoot(benchmark::State& state) {
    static const Cancellable root = with_cancel(background());
    derive_below(state, root.ctx);
}
BENCHMARK(CommonRoot)->Threads(1)->Threads(2)->UseRealTime();

void OwnRoot(benchmark::State& state) { derive_below(state, background()); }
BENCHMARK(OwnRoot)->Threads(1)->Threads(2)->UseRealTime();

// Each thread makes its share of the timeouts that stay alive, as in Go.
void WithTimeout(benchmark::State& state) {
    std::vector<CancelFunc> alive;
    for (auto i = state.range(0) / state.threads(); i > 0; --i) {
        alive.push_back(with_timeout(background(), 1h).cancel);
    }
    std::array<CancelFunc, 10> cancels;
    for (auto _ : state) {
        for (CancelFunc& cancel : cancels) cancel = with_timeout(background(), 1h).cancel;
        for (const CancelFunc& cancel : cancels) cancel();
    }
}
BENCHMARK(WithTimeout)
    ->ArgName("concurrency")
    ->Arg(40)
    ->Arg(4'000)
    ->Arg(400'000)
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime();

// Go drops the CancelFuncs of the tree uncalled and leaves the rest to its garbage collector. Here
// they live until the tree is built, and then everything is cancelled and freed, in the time that
// is measured.
void build_tree(Context root, std::int64_t depth, std::vector<CancelFunc>& cancels) {
    for (std::int64_t d = 0; d < depth; ++d) {
        auto [ctx, cancel] = with_cancel(root);
        root = std::move(ctx);
        cancels.push_back(std::move(cancel));
    }
}

enum class Root { background, open_canceler, closed_canceler };

void cancel_tree(benchmark::State& state, Root kind) {
    const std::int64_t depth = state.range(0);
    std::vector<CancelFunc> cancels;
    cancels.reserve(static_cast<std::size_t>(depth));
    for (auto _ : state) {
        if (kind == Root::background) {
            build_tree(background(), depth, cancels);
        } else {
            const auto [ctx, cancel] = with_cancel(background());
            if (kind == Root::closed_canceler) cancel();
            build_tree(ctx, depth, cancels);
            cancel();
        }
        cancels.clear();
    }
}
void CancelTree_Background(benchmark::State& state) { cancel_tree(state, Root::background); }
void CancelTree_OpenCanceler(benchmark::State& state) { cancel_tree(state, Root::open_canceler); }
void CancelTree_ClosedCanceler(benchmark::State& state) {
    cancel_tree(state, Root::closed_canceler);
}
void depths(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgName("depth")->Arg(1)->Arg(10)->Arg(100)->Arg(1000);
}
BENCHMARK(CancelTree_Background)->Apply(depths);
BENCHMARK(CancelTree_OpenCanceler)->Apply(depths);
BENCHMARK(CancelTree_ClosedCanceler)->Apply(depths);

void CheckCanceled_Err(benchmark::State& state) {
    const auto [ctx, cancel] = with_cancel(background());
    cancel();
    for (auto _ : state) benchmark::DoNotOptimize(ctx.err());
}
void CheckCanceled_Done(benchmark::State& state) {
    const auto [ctx, cancel] = with_cancel(background());
    cancel();
    for (auto _ : state) benchmark::DoNotOptimize(ctx.done().stop_requested());
}
BENCHMARK(CheckCanceled_Err);
BENCHMARK(CheckCanceled_Done);

void ContextCancelDone(benchmark::State& state) {
    static const Cancellable shared = with_cancel(background());
    for (auto _ : state) benchmark::DoNotOptimize(shared.ctx.done().stop_requested());
}
BENCHMARK(ContextCancelDone)->Threads(1)->Threads(2)->UseRealTime();

void DeepValueSameGoRoutine(benchmark::State& state) {
    static const context::Key<std::int64_t> missing{"missing"};
    std::deque<context::Key<std::int64_t>> keys;
    Context ctx;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        ctx = context::with_value(ctx, keys.emplace_back("key"), i);
    }
    for (auto _ : state) benchmark::DoNotOptimize(ctx.value(missing));
}
BENCHMARK(DeepValueSameGoRoutine)->ArgName("depth")->Arg(10)->Arg(20)->Arg(30)->Arg(50)->Arg(100);

// --- Beside the standard library -----------------------------------------------------------------

constexpr int fan = 100'000;

// One call cancels 100,000 children, each with a token that somebody has asked for.
void FanOut_context(benchmark::State& state) {
    for (auto _ : state) {
        state.PauseTiming();
        auto parent = with_cancel(background());
        std::vector<Cancellable> children;
        for (int i = 0; i < fan; ++i) {
            children.push_back(with_cancel(parent.ctx));
            benchmark::DoNotOptimize(children.back().ctx.done());
        }
        state.ResumeTiming();
        parent.cancel();
        state.PauseTiming();
        if (!children.back().ctx.done().stop_requested()) std::abort();
        children.clear();
        state.ResumeTiming();
    }
}
// The same with a std::stop_source for each child, linked by a std::stop_callback on the parent's.
void FanOut_stop_callback(benchmark::State& state) {
    struct Child {
        struct Stop {
            std::stop_source* source;
            void operator()() const noexcept { source->request_stop(); }
        };
        std::stop_source source;
        std::stop_callback<Stop> link;
        explicit Child(const std::stop_token& parent) : link(parent, Stop{&source}) {}
    };
    for (auto _ : state) {
        state.PauseTiming();
        std::stop_source parent;
        std::deque<Child> children;
        for (int i = 0; i < fan; ++i) children.emplace_back(parent.get_token());
        state.ResumeTiming();
        parent.request_stop();
        state.PauseTiming();
        if (!children.back().source.stop_requested()) std::abort();
        children.clear();
        state.ResumeTiming();
    }
}
BENCHMARK(FanOut_context)->Unit(benchmark::kNanosecond);
BENCHMARK(FanOut_stop_callback)->Unit(benchmark::kNanosecond);

void StopCallback_context(benchmark::State& state) {
    const auto [ctx, cancel] = with_cancel(background());
    for (auto _ : state) {
        const std::stop_callback callback(ctx.done(), [] {});
        benchmark::DoNotOptimize(&callback);
    }
}
void StopCallback_stop_token(benchmark::State& state) {
    const std::stop_source source;
    const std::stop_token token = source.get_token();
    for (auto _ : state) {
        const std::stop_callback callback(token, [] {});
        benchmark::DoNotOptimize(&callback);
    }
}
BENCHMARK(StopCallback_context);
BENCHMARK(StopCallback_stop_token);

}  // namespace

int main(int argc, char** argv) {
    // A program with one thread only has locks that cost nothing, which nobody else's would.
    const auto [ctx, cancel] = with_timeout(background(), 1h);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
}
