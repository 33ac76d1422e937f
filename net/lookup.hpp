// The addresses of a host name, looked up until a context is done. (In Go: net.Resolver.)
#ifndef NET_LOOKUP_HPP
#define NET_LOOKUP_HPP

#include <string>
#include <vector>

#include "context.hpp"

// Lookup holds the addresses of a host as text, in the order in which to try them. If there are
// none, `error` says why. If ctx was done before there was an answer, `error` is the message of
// ctx.err(). An address or localhost is answered even then.
struct Lookup {
    std::vector<std::string> addresses;
    std::string error;
};

// lookup asks the system for the addresses of `host`, and returns when it has answered or ctx is
// done. An address is its own answer, and localhost is ::1 and 127.0.0.1: then no one is asked.
//
// The system's function is getaddrinfo. It may wait many seconds for a name server, and nothing can
// abort it: it has no time limit to set and no descriptor to shut down. So a thread of its own
// calls it. When ctx is done, lookup returns at once and abandons that thread. This is the one
// thread that this project abandons: it holds a copy of the name and nothing of the caller's, it
// takes no signals, and it ends with its answer or with the process.
//
// At most 64 threads ask at a time, abandoned ones included. Further calls wait for one of them to
// end, or for ctx. A thread that cannot be started is an error; lookup throws only std::bad_alloc.
Lookup lookup(const context::Context& ctx, const std::string& host);

#endif  // NET_LOOKUP_HPP
