// cause: whoever cancels gives the reason along, and cause() finds it from any context below. It
// also answers where nobody gave one: then it is err(). No variable is shared, and no lock needed:
// the first reason stays, as err() does.
#include <iostream>
#include <map>
#include <syncstream>
#include <thread>
#include <vector>

#include "context.hpp"
#include "flag/command_line.hpp"
#include "flag/duration.hpp"

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
    const std::error_code why = context::cause(ctx);
    out() << what << " stopped: " << why.message()
          << (why == Reason::maintenance ? "; trying again later" : "") << std::endl;
}

int main(int argc, char** argv) {
    std::vector<Reason> reasons;
    context::duration limit = 5s;
    CLI::App app("Uploads that say why they were stopped.", "cause");
    app.add_option("REASON", reasons, "why they are stopped: full, maintenance; the first counts")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Reason>{
            {"full", Reason::full}, {"maintenance", Reason::maintenance}}));
    add_duration(app, "--limit", limit, "how long an upload may take [5s]");
    if (const auto exit_code = parse_command_line(app, argc, argv)) return *exit_code;

    const auto [ctx, cancel] = context::with_cancel(context::background());
    std::jthread photos([&] { upload(ctx, "photos", limit); });
    std::jthread films([&] { upload(ctx, "films", limit); });
    for (const std::error_code why : reasons) {
        out() << "stop, because: " << why.message() << std::endl;
        cancel(why);
    }
}
