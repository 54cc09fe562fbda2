//! What the description of the API says of a call, held against what the server answers.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::{Answer, Client};

/// The description as it is served, and which of its operations were called.
pub(crate) struct Described {
    document: Value,
    called: BTreeSet<String>,
    wrong: Vec<String>,
}

/// One operation.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    path: String,
    described: Value,
}

impl Operation {
    /// Its path with these in place of its parameters, in their order.
    pub(crate) fn path(&self, with: &[&str]) -> String {
        let mut path = format!("/api/v1{}", self.path);
        for part in with {
            let (start, end) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(start..=end, part);
        }
        assert!(!path.contains('{'), "{path}: a part is missing");
        path
    }

    /// Its path with something in place of each parameter.
    pub(crate) fn any_path(&self) -> String {
        let count = self.path.matches('{').count();
        self.path(&vec!["7"; count])
    }

    /// The first example of its body.
    pub(crate) fn example(&self) -> Value {
        let content = &self.described["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object().unwrap();
        examples.values().next().unwrap()["value"].clone()
    }

    /// All examples of its body.
    pub(crate) fn examples(&self) -> Vec<Value> {
        let content = &self.described["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object().unwrap().values();
        examples.map(|example| example["value"].clone()).collect()
    }
}

impl Described {
    pub(crate) async fn by(client: &Client) -> Described {
        let served = client.raw("GET", "/api/v1/openapi.json", vec![], "").await;
        Described {
            document: served.ok(200),
            called: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                found.push(Operation {
                    id: described["operationId"].as_str().unwrap().to_owned(),
                    method: method.to_uppercase(),
                    path: path.clone(),
                    described: described.clone(),
                });
            }
        }
        found
    }

    pub(crate) fn operation(&self, id: &str) -> Operation {
        let mut all = self.operations().into_iter();
        all.find(|operation| operation.id == id)
            .unwrap_or_else(|| panic!("{id} is not described"))
    }

    /// Makes a call that must succeed and holds request and answer against the description.
    pub(crate) async fn call(
        &mut self,
        client: &Client,
        id: &str,
        with: &[&str],
        query: &str,
        body: Option<Value>,
    ) -> Value {
        let operation = self.operation(id);
        let path = format!("{}{query}", operation.path(with));
        for pair in query
            .trim_start_matches('?')
            .split('&')
            .filter(|p| !p.is_empty())
        {
            let name = pair.split('=').next().unwrap();
            let parameters = operation.described["parameters"].as_array();
            let known = parameters.into_iter().flatten().any(|p| p["name"] == name);
            assert!(known, "{id}: the parameter {name} is not described");
        }
        if let Some(body) = &body {
            let content = &operation.described["requestBody"]["content"]["application/json"];
            self.hold(&format!("{id}, its body"), &content["schema"], body);
        }
        let answer = client.call(&operation.method, &path, body).await;
        assert!(answer.status < 300, "{id} {path}: {answer:?}");
        self.called.insert(id.to_owned());
        self.answer(&operation, &answer)
    }

    /// Holds an answer against what is described for its status; its body, if there is one.
    pub(crate) fn answer(&mut self, operation: &Operation, answer: &Answer) -> Value {
        let id = &operation.id;
        let described = &operation.described["responses"][answer.status.to_string()];
        let described = self.resolved(described);
        if described.is_null() {
            self.wrong
                .push(format!("{id}: {} is not described", answer.status));
            return Value::Null;
        }
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            let required = self.resolved(header)["required"] == true;
            if required && answer.header(&name.to_lowercase()).is_none() {
                self.wrong
                    .push(format!("{id}: the header {name} is missing"));
            }
        }
        let Some(content) = described["content"].as_object() else {
            if !answer.text.is_empty() {
                self.wrong
                    .push(format!("{id}: a body that is not described"));
            }
            return Value::Null;
        };
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let Some(of_kind) = content.get(kind) else {
            self.wrong.push(format!("{id}: {kind} is not described"));
            return Value::Null;
        };
        let body = match kind.ends_with("json") {
            true => answer.json(),
            false => Value::String(answer.text.clone()),
        };
        self.hold(
            &format!("{id}, {}", answer.status),
            &of_kind["schema"],
            &body,
        );
        body
    }

    /// Whether a value is as a schema says, without a member that it does not name.
    fn hold(&mut self, what: &str, schema: &Value, value: &Value) {
        let mut whole = strict(schema);
        let schemas = self.document["components"]["schemas"].as_object().unwrap();
        let inner = schemas.iter().map(|(name, s)| (name.clone(), inside(s)));
        let inner: Map<String, Value> = inner.collect();
        whole["components"] = json!({ "schemas": inner });
        let validator = jsonschema::options().build(&whole);
        let validator = validator.unwrap_or_else(|error| panic!("{what}: no schema: {error}"));
        for error in validator.iter_errors(value) {
            let at = error.instance_path();
            self.wrong.push(format!("{what}: {at}: {error}"));
        }
    }

    fn resolved(&self, value: &Value) -> Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.trim_start_matches('#');
                self.document.pointer(pointer).unwrap().clone()
            }
            None => value.clone(),
        }
    }

    /// Nothing was otherwise than it is described.
    pub(crate) fn only_refusals(self) {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong.join("\n"));
    }

    /// Everything was called, and nothing was otherwise than it is described.
    pub(crate) fn finish(self) {
        let all = self.operations().into_iter().map(|operation| operation.id);
        let all: BTreeSet<String> = all.collect();
        let never: Vec<_> = all.difference(&self.called).collect();
        assert!(never.is_empty(), "never called: {never:?}");
        self.only_refusals();
    }
}

/// A schema that takes no member beside those that it names, in itself and in what it holds.
fn strict(schema: &Value) -> Value {
    let mut strict = inside(schema);
    let names = ["$ref", "properties", "allOf", "oneOf", "anyOf"];
    let is_open = schema["additionalProperties"] == true;
    if names.iter().any(|name| schema.get(name).is_some()) && !is_open {
        strict["unevaluatedProperties"] = json!(false);
    }
    strict
}

/// The same without itself: it may be a part of another one.
fn inside(schema: &Value) -> Value {
    let mut inner = schema.clone();
    if let Some(properties) = inner.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            *property = strict(property);
        }
    }
    if let Some(items) = inner.get_mut("items") {
        *items = strict(items);
    }
    for parts in ["allOf", "oneOf", "anyOf"] {
        if let Some(parts) = inner.get_mut(parts).and_then(Value::as_array_mut) {
            for part in parts {
                *part = inside(part);
            }
        }
    }
    inner
}
