//! Wire formats: pure functions between bytes and frames, one folder per protocol. No sockets, no
//! session state. Called by the transports of server and client.
