#include "flag/command_line.hpp"

#include <algorithm>
#include <iostream>
#include <string>

std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked_for_help) {
        return app.exit(asked_for_help);
    } catch (const CLI::ParseError& error) {
        std::string line = app.get_name() + ": " + error.what() + "; see --help";
        std::ranges::replace_if(line, [](unsigned char c) { return c < ' ' || c == 127; }, '?');
        std::cerr << line << std::endl;
        return 2;
    }
    return std::nullopt;
}
