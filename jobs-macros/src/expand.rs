//! Writes what follows the block. Nothing fails here: what could was found before.
//!
//! An error of rustc in this code must stand on the user's own token, so each piece carries the span of what it is
//! made from. rustc takes an expression's span from its first and last token; that is how a whole return type is
//! underlined.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{LitStr, Path, Type, parse_quote_spanned, spanned::Spanned};

use crate::{
    block::Block,
    model::{Call, Job, Param, Query},
    names,
    options::{Setting, Value},
    validate::{Group, text},
};

/// The constants of the jobs, and empty items that keep the helper attributes. They are written beside errors too, so
/// that whoever uses them has no errors of his own.
pub(crate) fn handles(group: &Group, block: &Block) -> TokenStream {
    let (ty, private) = (&block.head.self_ty, private(group));
    let group_name = group.args.name.as_ref().map(LitStr::value).unwrap_or_default();
    let constants = group.jobs.iter().filter_map(|(job, _)| {
        let (cfg, vis, constant) = (&job.cfg, &job.vis, job.constant.as_ref()?);
        let (id, item) = (format!("{group_name}.{}", job.name()?), item_type(&job.call));
        let doc = format!("The job `{id}`.");
        Some(quote! {
            #(#cfg)* #[doc = #doc] #vis const #constant: #private::Job<#item> = #private::Job::new(#id);
        })
    });
    let helpers = group.helpers.iter().map(|helper| {
        let (cfg, path) = (&helper.cfg, &helper.path);
        quote!(#(#cfg)* #[#path(__in_group)] const _: () = ();)
    });
    let lints = lints();
    quote! {
        #lints
        impl #ty { #(#constants)* }
        #(#helpers)*
    }
}

/// The registration of the block.
pub(crate) fn registration(group: &Group, block: &Block) -> TokenStream {
    let Some(name) = &group.args.name else { return TokenStream::new() };
    let (ty, private) = (&block.head.self_ty, private(group));
    let guards = group.jobs.iter().filter_map(|(job, _)| guard(name, job));
    let jobs = group.jobs.iter().filter_map(|(job, query)| def(job, group.query(*query)));
    let (at, options) = (location(name.span()), options(None, &group.args.settings));
    let span = ty.span();
    let shared = quote_spanned!(span=> __jobs::one_instance_is_shared_by_all_threads::<#ty>());
    let lints = lints();
    // `Self` is legal in the types of items and the values of options because this is an impl; the trait is local, so
    // its name is free in every block.
    quote! {
        #lints
        impl #ty { #(#guards)* }
        #lints
        const _: () = {
            use #private as __jobs;
            use __jobs::{NoDefault as _, Single as _};
            trait __Block {
                const BLOCK: __jobs::GroupBlock;
            }
            impl __Block for #ty {
                const BLOCK: __jobs::GroupBlock = __jobs::GroupBlock {
                    name: #name,
                    type_id: #shared,
                    type_name: __jobs::type_name::<Self>,
                    default: __jobs::DefaultProbe::<Self>::FACTORY,
                    shared: __jobs::descriptor::shared::<#ty>,
                    location: #at,
                    options: #options,
                    jobs: &[#(#jobs),*],
                };
            }
            __jobs::inventory::submit! { <#ty as __Block>::BLOCK }
        };
    }
}

/// Where everything that generated code names is found.
fn private(group: &Group) -> Path {
    let span = Span::call_site();
    match &group.args.krate {
        Some(krate) => parse_quote_spanned!(span=> #krate::__private),
        None => parse_quote_spanned!(span=> ::jobs_runner::__private),
    }
}

/// Tokens that carry the user's spans are linted as the user's own.
fn lints() -> TokenStream {
    quote! {
        #[allow(
            dead_code,
            deprecated,
            non_upper_case_globals,
            private_interfaces,
            unused_qualifications,
            clippy::all,
            clippy::pedantic,
            clippy::nursery,
            clippy::restriction
        )]
    }
}

/// Two blocks of one type that declare the same job meet in this constant. rustc prints its name.
fn guard(group: &LitStr, job: &Job) -> Option<TokenStream> {
    let (cfg, name) = (&job.cfg, job.args.name.as_ref()?);
    let (job_slug, group_slug) = (names::slug(&name.value()), names::slug(&group.value()));
    let ident = format_ident!(
        "the_job_{job_slug}_is_in_two_blocks_of_the_group_{group_slug}__rename_one_of_them",
        span = name.span()
    );
    Some(quote_spanned!(name.span()=> #(#cfg)* #[doc(hidden)] const #ident: () = ();))
}

fn def(job: &Job, query: Option<&Query>) -> Option<TokenStream> {
    let (cfg, name) = (&job.cfg, job.args.name.as_ref()?);
    let was = option(job.args.was.as_ref().map(|was| quote!(#was)));
    let options = options(job.args.schedule.as_ref(), &job.args.settings);
    let at = location(name.span());
    let item = option(job.call.owned().map(|item| quote!(__jobs::type_name::<#item>)));
    let handler = handler(&job.call);
    let query = query_field(job, query);
    Some(quote! {
        #(#cfg)* __jobs::JobDef {
            name: #name, was: #was, options: #options, location: #at, item: #item, handler: #handler, #query
        }
    })
}

/// The query is there when it is compiled in, which may be less often than its job.
fn query_field(job: &Job, query: Option<&Query>) -> TokenStream {
    let none = quote!(query: __jobs::None);
    let (Some(query), Some(item)) = (query, job.call.owned()) else { return none };
    let found = query_def(&query.call, item);
    if query.cfg.is_empty() || text(&query.cfg) == text(&job.cfg) {
        return quote!(query: __jobs::Some(#found));
    }
    let cfg = &query.cfg;
    let conditions = cfg.iter().filter_map(|attr| attr.meta.require_list().ok().map(|list| &list.tokens));
    quote!(#(#cfg)* query: __jobs::Some(#found), #[cfg(not(all(#(#conditions),*)))] #none)
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(__jobs::Some(#value)),
        None => quote!(__jobs::None),
    }
}

/// `file!` and its siblings follow the span of their tokens.
fn location(span: Span) -> TokenStream {
    quote_spanned! {span=>
        __jobs::Location { file: __jobs::file!(), line: __jobs::line!(), column: __jobs::column!() }
    }
}

fn options(schedule: Option<&LitStr>, settings: &[Setting]) -> TokenStream {
    if schedule.is_none() && settings.is_empty() {
        return quote!(__jobs::Declared::NONE);
    }
    let schedule = schedule.map(|schedule| quote!(schedule: __jobs::Some(#schedule),));
    let settings = settings.iter().map(|Setting { key, value, .. }| {
        let value = match value {
            Value::Duration(length) => {
                let (seconds, nanos) = (length.as_secs(), length.subsec_nanos());
                quote!(__jobs::Duration::new(#seconds, #nanos))
            }
            Value::Written(value) => quote!(#value),
        };
        quote!(#key: __jobs::Some(#value),)
    });
    quote!(__jobs::Declared { #schedule #(#settings)* ..__jobs::Declared::NONE })
}

fn item_type(call: &Call) -> TokenStream {
    call.owned().map_or_else(|| quote!(()), |item| quote!(#item))
}

/// The method's call, as an expression whose span is that of the method's whole return type.
fn call(call: &Call) -> TokenStream {
    let (mut name, (start, end)) = (call.method.clone(), call.output);
    name.set_span(start);
    let args = call.params.iter().map(|param| match param {
        Param::Context(ty) => quote_spanned!(ty.span()=> __jobs::context(__cx)),
        Param::Owned(ty) => {
            let item = Ident::new("__item", ty.span());
            quote!(#item)
        }
    });
    let list = quote_spanned!(end=> (__group, #(#args),*));
    let wait = call.is_async.then(|| quote_spanned!(end=> .await));
    quote_spanned!(start=> Self::#name #list #wait)
}

/// A function of `__private`, called with arguments, underlined as the return type of the method.
fn on_output(call: &Call, function: &str, args: &TokenStream) -> TokenStream {
    let (start, end) = call.output;
    let function = Ident::new(function, start);
    let args = quote_spanned!(end=> (#args));
    quote_spanned!(start=> __jobs::#function #args)
}

/// `let __item = ..`, decoded with the given function, or a return with its error.
fn decode(ty: &Type, function: &str, stored: &TokenStream) -> TokenStream {
    let function = Ident::new(function, ty.span());
    let decode = quote_spanned!(ty.span()=> __jobs::#function::<#ty>(#stored));
    let item = Ident::new("__item", ty.span());
    quote! {
        let #item = match #decode {
            __jobs::Ok(item) => item,
            __jobs::Err(error) => return __jobs::Err(error),
        };
    }
}

fn handler(method: &Call) -> TokenStream {
    let decode = method.owned().map(|ty| decode(ty, "item", &quote!(__stored)));
    let (start, end) = method.output;
    let (returns, single) = (call(method), quote_spanned!(end=> .single()));
    let returns = quote_spanned!(end=> (#returns));
    let returns = quote_spanned!(start=> __jobs::Returns #returns #single);
    let finish = on_output(method, "finish", &quote!(#returns, __cx));
    if method.is_async {
        // rustc says at this span that the future is not `Send`.
        let span = method.method.span();
        let future =
            quote_spanned!(span=> __jobs::hold_only_what_is_send_across_an_await(async move { #finish }));
        return quote! {
            __jobs::Handler::Async(|__any, __cx, __stored| {
                #decode
                let __group = __jobs::group::<Self>(__any);
                __jobs::Ok(#future)
            })
        };
    }
    let (keep, borrow) = kept();
    quote! {
        __jobs::Handler::Blocking(|__any, __cx, __stored| {
            #decode
            #keep
            __jobs::Ok(__jobs::Box::new(move || {
                #borrow
                #finish
            }))
        })
    }
}

/// Keeps what a call borrows from that outlives its caller, and borrows from that.
fn kept() -> (TokenStream, TokenStream) {
    (
        quote!(let __call = __jobs::Call::new(&__any, __cx);),
        quote!(let (__group, __cx) = (__call.group::<Self>(), __call.cx());),
    )
}

fn query_def(method: &Call, item: &Type) -> TokenStream {
    let for_item = quote_spanned!(item.span()=> __jobs::for_item::<#item>());
    let (call, span) = (call(method), method.method.span());
    let (keep, borrow) = kept();
    if let Some(cursor) = method.owned() {
        let decode = decode(cursor, "cursor", &quote!(__stored.as_deref()));
        let by = quote_spanned!(cursor.span()=> __jobs::by_cursor::<#cursor>());
        let page = on_output(method, "page", &quote!(#for_item, #by, #call));
        let page = quote!(#borrow #decode #page);
        return if method.is_async {
            let page =
                quote_spanned!(span=> __jobs::hold_only_what_is_send_across_an_await(async move { #page }));
            quote!(__jobs::Query::Page(|__any, __cx, __stored| { #keep #page }))
        } else {
            quote!(__jobs::Query::BlockingPage(|__any, __cx, __stored| { #keep #page }))
        };
    }
    let drain = on_output(method, "drain", &quote!(#for_item, #call, __sink));
    let drain =
        quote_spanned!(span=> __jobs::hold_only_what_is_send_across_an_await(async move { #drain.await }));
    let begin = quote!(let __group = __jobs::group::<Self>(__any););
    if method.is_async {
        return quote!(__jobs::Query::Items(|__any, __cx, __sink| { #begin #drain }));
    }
    // A plain `fn` may return a stream, which is made without blocking; which one it is, its type tells.
    let is_blocking = on_output(method, "is_blocking", &quote!(#for_item, &|| #call));
    let blocking = on_output(method, "drain_blocking", &quote!(#for_item, #call, __push));
    quote! {
        __jobs::Query::Items(|__any, __cx, __sink| {
            #begin
            if #is_blocking {
                let __cx = __jobs::Clone::clone(__cx);
                #keep
                __jobs::Sink::push_blocking(__sink, __jobs::Box::new(move |__push| {
                    #borrow
                    #blocking
                }))
            } else {
                #drain
            }
        })
    }
}
