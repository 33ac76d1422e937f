#ifndef SERVERS_HPP
#define SERVERS_HPP

#include "net/test_server.hpp"

TestServer slow_server(context::duration delay);
TestServer fast_server();

#endif  // SERVERS_HPP
