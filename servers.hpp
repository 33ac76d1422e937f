// The two servers that the demo calls.
#ifndef SERVERS_HPP
#define SERVERS_HPP

#include "net/test_server.hpp"

TestServer slow_server(const context::Context& parent, context::duration delay);
TestServer fast_server(const context::Context& parent, context::duration delay);

#endif  // SERVERS_HPP
