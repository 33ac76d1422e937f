// Runs what needs a process of its own: the programs in programs/ and faults/.
#ifndef TESTS_RUN_PROGRAM_HPP
#define TESTS_RUN_PROGRAM_HPP

#include <string>

// run_program returns what the program prints, and at the end how it ended if that was not with 0.
// One that has not ended after a minute hangs, and is killed with all its children. TEST_PROGRAMS
// in the environment is the folder in which they were built.
std::string run_program(const std::string& name);

#endif  // TESTS_RUN_PROGRAM_HPP
