//! The protocol's enumerations: exact upper-case names, or their ordinals.

/// Makes an enumeration whose names on the wire are given; its ordinals are the order.
macro_rules! words {
    ($(#[$doc:meta])* $kind:ident { $($(#[$word_doc:meta])* $name:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $kind { $($(#[$word_doc])* $name,)+ }

        impl $kind {
            /// Every value, in the order of their ordinals.
            pub const ALL: &[$kind] = &[$($kind::$name),+];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($kind::$name => $word,)+ }
            }

            /// Reads a name; `None` for any other text, in lower case as well.
            #[must_use]
            pub fn from_name(name: &str) -> Option<$kind> {
                match name { $($word => Some($kind::$name),)+ _ => None }
            }
        }
    };
}

words! {
    /// What a packet is.
    PacketType {
        /// A sign of life; answered with [`PacketType::Pong`].
        Ping = "PING",
        /// The answer to [`PacketType::Ping`].
        Pong = "PONG",
        /// The session ends.
        Close = "CLOSE",
        /// A login, or a step of one.
        Auth = "AUTH",
        /// An agent goes on duty; with body SUCCESS the answer.
        Bind = "BIND",
        /// A request that waits for packets.
        Poll = "POLL",
        /// Something that people say to one another.
        Message = "MESSAGE",
        /// An agent's status: the content is "1" to "4".
        ChangeStatus = "CHANGE_STATUS",
        /// A customer is handed over: the request, its answer, the customer's notice.
        Transfer = "TRANSFER",
        /// To the agent who gets a customer by transfer.
        BuildTransferChat = "BUILD_TRANSFER_CHAT",
        /// An agent pulls the head of his queue.
        Reception = "RECEPTION",
        /// The customer is asked for a rating, or gives it.
        Evaluate = "EVALUATE",
        /// The message `pid` is recalled.
        Revocation = "REVOCATION",
        /// A chat begins, or is about to.
        BuildChat = "BUILD_CHAT",
        /// The same uid logged in elsewhere; this connection is being dropped.
        ReLogin = "RE_LOGIN",
        /// With body FAIL: another agent serves the customer.
        Chatting = "CHATTING",
        /// A chat ends.
        CloseChat = "CLOSE_CHAT",
        /// Queue length for agents, own position for customers.
        Broadcast = "BROADCAST",
        /// Outside business hours.
        NonWorkingTime = "NON_WORKING_TIME",
    }
}

words! {
    /// Who somebody is.
    Identity {
        /// The server.
        Sys = "SYS",
        /// Nobody.
        Null = "NULL",
        /// A customer.
        Customer = "CUSTOMER",
        /// An agent.
        Waiter = "WAITER",
    }
}

words! {
    /// By which transport a packet travels; chooses the handler of an HTTP request.
    Transport {
        /// A WebSocket.
        WebSocket = "WEBSOCKET",
        /// HTTP long polling.
        Polling = "POLLING",
        /// A desktop agent's TCP.
        Socket = "SOCKET",
    }
}

words! {
    /// What a body's content is. The order is ours: the original's ordinals of bodies
    /// are not published, so clients send names.
    BodyType {
        /// Credentials.
        Login = "LOGIN",
        /// A step of SASL.
        Response = "RESPONSE",
        /// The client gives up its login.
        Abort = "ABORT",
        /// Text.
        Text = "TEXT",
        /// The URL of an image.
        Image = "IMAGE",
        /// A card: an order.
        Order = "ORDER",
        /// A card: goods.
        Goods = "GOODS",
        /// A card: a delivery.
        Logistics = "LOGISTICS",
        /// "An agent is being assigned".
        BuildingChat = "BUILDING_CHAT",
        /// The team's greeting.
        TeamGreet = "TEAM_GREET",
        /// The agent's greeting.
        WaiterGreet = "WAITER_GREET",
        /// The customer is idle.
        TimeoutTip = "TIMEOUT_TIP",
        /// Closed because the customer was idle.
        TimeoutClose = "TIMEOUT_CLOSE",
        /// A transfer to an agent; the content is JSON.
        TransferWaiter = "TRANSFER_WAITER",
        /// A transfer to a team; the content is JSON.
        TransferTeam = "TRANSFER_TEAM",
        /// The place in the queue on joining, in decimal.
        Waiting = "WAITING",
        /// Place or length of the queue, in decimal.
        WaitingNo = "WAITING_NO",
        /// The agent closed.
        WaiterClose = "WAITER_CLOSE",
        /// The customer closed.
        CustomerClose = "CUSTOMER_CLOSE",
        /// A robot's text.
        Robot = "ROBOT",
        /// A notice that is never stored.
        Tip = "TIP",
        /// It worked.
        Success = "SUCCESS",
        /// It did not.
        Fail = "FAIL",
        /// [`BodyType::Waiting`] as the published pages spell it.
        Waitting = "WAITTING",
        /// [`BodyType::WaitingNo`] as the published pages spell it.
        WaittingNo = "WAITTING_NO",
    }
}
