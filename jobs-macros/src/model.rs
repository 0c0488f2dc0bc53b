//! The block as the rest of the macro sees it, with the helper attributes taken off.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute, FnArg, GenericParam, Ident, LitStr, Path, Receiver, ReceiverKind, ReturnType, Safety,
    Signature, Type, Visibility, spanned::Spanned,
};

use crate::{
    attr::{self, GroupArgs, Helper, JobArgs},
    block::{Block, Member, Method},
    errors::Errors,
    names,
};

/// What a block declares. Every part may be missing where it was mistaken; then there are errors.
pub(crate) struct Declared {
    pub(crate) args: GroupArgs,
    pub(crate) jobs: Vec<Job>,
    pub(crate) queries: Vec<Query>,
    /// The helper attributes as they were written.
    pub(crate) helpers: Vec<Used>,
}

/// A helper attribute that was taken off.
pub(crate) struct Used {
    pub(crate) path: Path,
    pub(crate) cfg: Vec<Attribute>,
}

/// A method with `#[job]` or one of its siblings.
pub(crate) struct Job {
    pub(crate) args: JobArgs,
    pub(crate) call: Call,
    pub(crate) vis: Visibility,
    /// The name of its constant, unless that clashes.
    pub(crate) constant: Option<Ident>,
    pub(crate) cfg: Vec<Attribute>,
}

impl Job {
    pub(crate) fn name(&self) -> Option<String> {
        self.args.name.as_ref().map(LitStr::value)
    }
}

/// A method with `#[query]`.
pub(crate) struct Query {
    pub(crate) name: Option<LitStr>,
    pub(crate) call: Call,
    pub(crate) cfg: Vec<Attribute>,
}

/// How a method is called.
pub(crate) struct Call {
    pub(crate) method: Ident,
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Param>,
    /// The first and the last token of its return type.
    pub(crate) output: (Span, Span),
}

/// A parameter. A reference is the context and an owned one is the item, whatever either is called: that holds
/// behind aliases too.
pub(crate) enum Param {
    Context(Type),
    Owned(Type),
}

impl Call {
    /// The type of the item, or of a query's cursor.
    pub(crate) fn owned(&self) -> Option<&Type> {
        self.params.iter().find_map(|param| match param {
            Param::Owned(ty) => Some(ty),
            Param::Context(_) => None,
        })
    }
}

impl Declared {
    /// Reads the block, and takes the helper attributes off it, so that it is plain Rust even when there are errors.
    pub(crate) fn read(args: TokenStream, block: &mut Block, errors: &mut Errors) -> Self {
        let args = GroupArgs::parse(args, errors);
        check_head(block, errors);
        let mut declared = Self { args, jobs: Vec::new(), queries: Vec::new(), helpers: Vec::new() };
        for method in block.methods_mut() {
            declared.read_method(method, errors);
        }
        for member in &block.members {
            if let Member::Const(_, other) | Member::Other(other) = member {
                refuse_helper(other, errors);
            }
        }
        declared
    }

    fn read_method(&mut self, method: &mut Method, errors: &mut Errors) {
        let cfg: Vec<_> = method.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect();
        let mut found = Vec::new();
        method.attrs.retain(|attr| match Helper::of(attr) {
            Some(helper) => {
                found.push((helper, attr.clone()));
                false
            }
            None => true,
        });
        let mut found = found.into_iter();
        let Some((helper, attr)) = found.next() else { return };
        self.helpers.push(Used { path: attr.path().clone(), cfg: cfg.clone() });
        for (_, extra) in found {
            let name = attr::attr_name(&extra);
            errors.on(
                extra.path(),
                format!("a method has one of `#[job]` and `#[query]`; take this `#[{name}]` off"),
            );
            self.helpers.push(Used { path: extra.path().clone(), cfg: cfg.clone() });
        }
        let call = read_call(&method.sig, &attr::attr_name(&attr), helper, errors);
        match helper {
            Helper::Query => self.queries.push(Query { name: attr::query(&attr, errors), call, cfg }),
            Helper::Job { preset } => {
                let args = JobArgs::parse(&attr, preset, errors);
                let constant = args.handle.clone().unwrap_or_else(|| names::screaming(&call.method));
                self.jobs.push(Job { args, call, vis: method.vis.clone(), constant: Some(constant), cfg });
            }
        }
    }
}

fn check_head(block: &Block, errors: &mut Errors) {
    let head = &block.head;
    if let Some((path, _)) = &head.trait_ {
        errors.on(
            path,
            "a group is an `impl` block of a type, not of a trait; move the methods to `impl MyJobs { .. }`",
        );
    }
    if let Some(param) = head.generics.params.first() {
        let name = match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => param.ident.to_string(),
            GenericParam::Lifetime(param) => param.lifetime.to_string(),
        };
        errors.on(
            &head.generics,
            format!(
                "a group cannot be generic: jobs are registered when the program is linked, before `{name}` is known; \
                 write the block for a concrete type, as in `impl Digest<Smtp>`"
            ),
        );
    }
}

/// A helper attribute on something that is no method would be left where it is, and say the wrong thing there.
fn refuse_helper(member: &TokenStream, errors: &mut Errors) {
    let mut tokens = member.clone().into_iter().peekable();
    while let Some(proc_macro2::TokenTree::Punct(_)) = tokens.next() {
        let Some(proc_macro2::TokenTree::Group(group)) = tokens.next() else { return };
        let mut words = group.stream().into_iter();
        if let Some(proc_macro2::TokenTree::Ident(word)) = words.next()
            && ["job", "query"].iter().any(|helper| word == helper)
        {
            errors.at(
                word.span(),
                format!("`#[{word}]` is for a method; write it above an `fn` of this block"),
            );
        }
    }
}

/// Reads a signature. What cannot be called is an error; the rest is returned all the same.
fn read_call(sig: &Signature, attr: &str, helper: Helper, errors: &mut Errors) -> Call {
    match sig.receiver() {
        None => errors.on(&sig.ident, format!("`#[{attr}]` is for a method; add `&self` to its parameters")),
        Some(receiver) if !by_reference(receiver) => errors.on(
            receiver,
            format!(
                "a method with `#[{attr}]` takes `&self`: all runs share one instance; \
                 keep what changes behind a `Mutex` or an atomic"
            ),
        ),
        Some(_) => {}
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors
            .on(token, "a handler cannot be `unsafe`: nobody is there to uphold its contract; make it safe");
    }
    for param in &sig.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            errors.on(
                param,
                format!(
                    "a method with `#[{attr}]` cannot be generic: the runner calls it; write a concrete type"
                ),
            );
        }
    }
    let mut params = Vec::new();
    for input in &sig.inputs {
        if let FnArg::Typed(input) = input {
            read_param(&input.ty, attr, helper, &mut params, errors);
        }
    }
    let output = match &sig.output {
        ReturnType::Type(_, ty) => ends(ty),
        ReturnType::Default => (sig.ident.span(), sig.ident.span()),
    };
    Call { method: sig.ident.clone(), is_async: sig.asyncness.is_some(), params, output }
}

fn by_reference(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_none(),
        ReceiverKind::Typed(_, ty) => matches!(&**ty, Type::Reference(ty) if ty.mutability.is_none()),
        _ => false,
    }
}

fn read_param(ty: &Type, attr: &str, helper: Helper, params: &mut Vec<Param>, errors: &mut Errors) {
    match ty {
        Type::Reference(reference) => {
            if params.iter().any(|param| matches!(param, Param::Context(_))) {
                errors
                    .on(ty, "this is a second reference; one is the context, and an item is taken by value");
            } else if let Some(token) = &reference.mutability {
                errors.on(token, "the context is shared; take it as `&JobContext`");
            }
            params.push(Param::Context((*reference.elem).clone()));
        }
        Type::ImplTrait(_) => errors.on(
            ty,
            format!(
                "a method with `#[{attr}]` cannot be generic: the runner calls it; write a concrete type"
            ),
        ),
        _ if is_named(ty, "JobContext") => {
            errors.on(ty, "the context is taken by reference; write `&JobContext`");
        }
        _ => {
            if params.iter().any(|param| matches!(param, Param::Owned(_))) {
                errors.on(
                    ty,
                    match helper {
                        Helper::Query => {
                            "a query takes one owned parameter at most, the cursor; put its parts in a tuple"
                        }
                        Helper::Job { .. } => "a job takes one item; put its parts in a struct or a tuple",
                    },
                );
            }
            params.push(Param::Owned(ty.clone()));
        }
    }
}

/// Whether a type is written with this name.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == name))
}

/// Where some tokens begin and end; `Span::join` is not stable.
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let mut all = tokens.to_token_stream().into_iter().map(|token| token.span());
    let first = all.next().unwrap_or_else(|| tokens.span());
    (first, all.last().unwrap_or(first))
}
