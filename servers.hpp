#ifndef SERVERS_HPP
#define SERVERS_HPP

#include "net/test_server.hpp"

TestServer slow_server(context::duration delay,
                       const context::Context& parent = context::background());
TestServer fast_server(const context::Context& parent = context::background());

#endif  // SERVERS_HPP
