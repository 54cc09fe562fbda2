//! The customer-service dispatcher: one pure machine per tenant. DESIGN §6.
