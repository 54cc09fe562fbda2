//! Every test of the library over its public interface, in one binary: linked once instead of thirty
//! times. What sets something up for the whole process (a log's subscriber) is a file of its own
//! beside this folder.
//!
//! `api` `desk` `desk_http` `embed` `ocim` `support` set servers up, `schema` reads the API's description; the others are tests.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod api;
mod api_document;
mod api_messages;
mod api_pages;
mod api_people;
mod api_rules;
mod api_schema;
mod auth_accounts;
mod auth_jwt;
mod auth_webhook;
mod desk;
mod desk_agents;
mod desk_api_customers;
mod desk_api_reports;
mod desk_api_setup;
mod desk_api_talks;
mod desk_failures;
mod desk_http;
mod desk_left;
mod desk_sinks;
mod desk_start;
mod desk_talks;
mod doors;
mod embed;
mod embed_before;
mod embed_callbacks;
mod embed_example;
mod embed_handle;
mod embed_server_messages;
mod limits;
mod ocim;
mod ocim_agents;
mod ocim_answers;
mod ocim_chain;
mod ocim_pages;
mod ocim_polling;
mod ocim_rows;
mod ocim_rows_desk;
mod ocim_websocket;
mod origins;
mod private;
mod schema;
mod support;
mod tls;
mod tls_client;
mod unadmitted;
