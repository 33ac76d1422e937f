// The command line of a small program, for CLI11.
#ifndef FLAG_COMMAND_LINE_HPP
#define FLAG_COMMAND_LINE_HPP

#include <CLI/CLI.hpp>
#include <optional>

// parse_command_line reads the arguments into the options of `app`. It returns the exit code if the
// program is to end at once: 0 after --help, 2 after a mistake, which one line of stderr names.
// From then on an exception that nobody catches ends the program in the same way, with 1.
std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv);

// check_stdout returns the exit code at the end of a program: 0, or 1 after one line of stderr, if
// standard output could not be written.
int check_stdout();

#endif  // FLAG_COMMAND_LINE_HPP
