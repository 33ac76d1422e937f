// cause, exercise 3. A store aborts two uploads, and all that they can say is "context canceled".
// Let them print why they were aborted: for one of the reasons below, or because their own time was
// up. Of several reasons the first one counts. An upload that is aborted because of maintenance
// adds that it tries again later.
//
// It should print what stands in cause.txt.
//
// Hint: examples/cause.cpp. The reasons are std::error_codes already.
#include <iostream>
#include <syncstream>
#include <thread>
#include <vector>

#include "context.hpp"

using namespace std::chrono_literals;
using context::Context;

static std::osyncstream out() { return std::osyncstream(std::cout); }

enum class Reason { full = 1, maintenance };

template <>
struct std::is_error_code_enum<Reason> : std::true_type {};

class StoreCategory : public std::error_category {
public:
    const char* name() const noexcept override { return "store"; }
    std::string message(int reason) const override {
        return reason == static_cast<int>(Reason::full) ? "the store is full" : "maintenance";
    }
};

static std::error_code make_error_code(Reason reason) {
    static const StoreCategory category;
    return {static_cast<int>(reason), category};
}

static void upload(const Context& parent, const char* what, context::duration limit) {
    const auto [ctx, cancel] = context::with_timeout(parent, limit);
    context::wait(ctx);
    // EDIT HERE: say why, and whether it tries again.
    out() << what << " aborted: " << ctx.err().message() << std::endl;
}

static void store(const std::vector<Reason>& reasons, context::duration limit) {
    // EDIT HERE: the cancel says why.
    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::jthread photos([&] { upload(ctx, "photos", limit); });
    std::jthread films([&] { upload(ctx, "films", limit); });
    for (const std::error_code why : reasons) {
        out() << "cancel: " << why.message() << std::endl;
        cancel();
    }
}

int main() {
    store({Reason::full}, 1h);
    store({Reason::maintenance, Reason::full}, 1h);
    store({}, 10ms);
}
